"""How do samples become a dataset of the store?"""
