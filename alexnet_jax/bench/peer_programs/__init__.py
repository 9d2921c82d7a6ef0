"""Programs that ``alexnet bench`` compares with. Each runs as a script in a process of its own."""
