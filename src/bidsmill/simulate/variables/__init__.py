"""What do files of MATLAB, Octave and NumPy hold?"""
