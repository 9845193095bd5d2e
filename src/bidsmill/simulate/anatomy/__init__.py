"""Where are the regions, and how does each reach the sensors?"""
