"""Benchmarks that compare a net with the machine's peak and other programs, and input pipelines with each other."""
