"""What a batch is."""

from __future__ import annotations

from jaxtyping import Array

Batch = dict[str, Array]
"""``image``: uint8 (batch, height, width, channels) as stored; ``label``: int32 (batch,)."""

PADDING_LABEL = -1
"""The label of an example that only fills the last batch. It does not count."""
