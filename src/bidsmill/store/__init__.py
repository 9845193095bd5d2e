"""Where do results go?"""
