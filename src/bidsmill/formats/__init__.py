"""What do our files look like? The only readers and writers of them."""
