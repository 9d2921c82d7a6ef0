"""Perceptual distances of images."""
