"""Weights of other programs: how they lay out the same parameters."""
