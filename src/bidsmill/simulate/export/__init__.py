"""How do networks get it that read MATLAB files?"""
