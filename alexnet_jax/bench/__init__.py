"""How fast a net runs on this machine, against what the machine can do and against other programs."""
