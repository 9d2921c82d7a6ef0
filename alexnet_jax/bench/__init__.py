"""Benchmarks: a net against the machine's peak and against other programs, and input pipelines against each other."""
