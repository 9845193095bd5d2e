"""Where does a dataset come from?"""
