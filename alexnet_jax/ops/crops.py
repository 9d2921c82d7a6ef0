"""Square crops of a batch of images, in their plain form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

Crops = Float[Array, "batch size size channels"]


def crop(
    images: Array, offsets: Int[Array, "batch 2"], flipped: Bool[Array, " batch"], *, size: int
) -> Float[Array, "batch size size channels"]:
    """One square of each image, flipped horizontally or not.

    Args:
        images: (batch, height, width, channels), or (1, height, width, channels) to crop one image ``batch`` times.
        offsets: the top left corner of each square, in pixels from the top and from the left.
        flipped: whether to flip each square.
        size: the side of the squares in pixels.

    Returns:
        The squares in float32.
    """

    def square(image: Array, offset: Array) -> Array:
        return lax.dynamic_slice(image, (offset[0], offset[1], 0), (size, size, image.shape[-1])).astype(jnp.float32)

    if images.shape[0] == 1:
        return flip(jax.vmap(square, (None, 0))(images[0], offsets), flipped)
    return flip(jax.vmap(square)(images, offsets), flipped)


def flip(crops: Crops, flipped: Bool[Array, " batch"]) -> Crops:
    """Flips the ``flipped`` images horizontally (paper, section 4.1)."""
    return jnp.where(flipped.reshape(-1, 1, 1, 1), crops[:, :, ::-1], crops)
