"""Programs that ``alexnet bench`` compares with. Each runs as a script in a separate process."""
