"""What do the rows mean?"""
