"""Which patches of cortex spike in a sample, with which clip?"""
