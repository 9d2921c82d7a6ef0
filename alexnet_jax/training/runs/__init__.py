"""The files of a run: checkpoints, metrics and the lease, on this machine and on object stores."""
