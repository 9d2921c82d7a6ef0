"""A page that shows a run: its curves, its kernels, its mistakes."""
