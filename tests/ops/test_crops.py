import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.ops.crops import crop, flip


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("count", [1, 4])
def test_crops_are_squares_at_the_offsets(dtype, count):
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 256, (count, 9, 9, 3)).astype(dtype)
    offsets, flipped = np.array([[0, 0], [3, 1], [2, 3], [3, 3]]), np.array([False, True, False, True])
    found = crop(jnp.asarray(images), jnp.asarray(offsets), jnp.asarray(flipped), size=6)
    assert found.dtype == jnp.float32
    for index, ((top, left), is_flipped) in enumerate(zip(offsets, flipped, strict=True)):
        square = images[index % count, top : top + 6, left : left + 6]
        np.testing.assert_array_equal(found[index], square[:, ::-1] if is_flipped else square)


def test_flip_reverses_the_columns_of_the_flipped_images():
    images = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3)
    found = flip(jnp.asarray(images), jnp.array([False, True]))
    np.testing.assert_array_equal(found, np.stack([images[0], images[1, :, ::-1]]))
