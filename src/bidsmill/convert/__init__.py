"""How does a recording become rows?"""
