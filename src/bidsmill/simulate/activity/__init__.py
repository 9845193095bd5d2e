"""What do the regions do? A network of neural masses."""
