"""How do users read a store?"""
