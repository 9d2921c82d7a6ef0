"""Trained nets as files for other programs."""
