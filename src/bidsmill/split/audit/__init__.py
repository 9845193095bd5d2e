"""Does anything of one side stand on another? Checks of any published or finished dataset."""
