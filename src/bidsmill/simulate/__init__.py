"""Labelled spikes: anatomy, lead field, neural mass, clips, sources and their projection."""
