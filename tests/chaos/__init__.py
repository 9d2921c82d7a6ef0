"""Runs that are disturbed at random. ``python -m tests.chaos --help`` describes the script."""
