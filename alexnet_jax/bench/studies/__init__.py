"""Measurements behind choices of this package. Each module is a command, and its results are on the page beside it."""
