"""The format of a batch."""

from __future__ import annotations

from jaxtyping import Array

Batch = dict[str, Array]
"""``image``: uint8 (batch, height, width, channels) as stored; ``label``: int32 (batch,)."""

PADDING_LABEL = -1
"""The label of an example that pads the last batch of an evaluation. It does not count."""
