"""Update rules, learning rates and hyperparameters."""
