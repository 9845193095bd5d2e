"""Which spikes did the network make?"""
