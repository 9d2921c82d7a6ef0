"""Console output: progress, tables and plots."""
