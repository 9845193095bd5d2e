"""What does each rule of the pipeline do?"""
