"""Pure functions of the state: a training step, an evaluation step, and what they use."""
