"""Who trains, who tests?"""
