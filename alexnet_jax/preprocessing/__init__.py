"""Stored uint8 images to the float crops that a net reads: pure functions that run on the device."""
