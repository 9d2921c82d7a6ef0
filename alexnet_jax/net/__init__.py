"""AlexNet as a Flax module, and its layer table."""
