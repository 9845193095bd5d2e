"""How does Snakemake call the library?"""
