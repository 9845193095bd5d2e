"""What do the sensors measure of it?"""
