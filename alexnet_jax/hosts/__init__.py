"""Several processes, on one host or many, that train one net together."""
