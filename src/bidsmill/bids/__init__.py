"""What is in a BIDS dataset?"""
