"""How is a file of this format opened?  One module per format, with its repairs."""
