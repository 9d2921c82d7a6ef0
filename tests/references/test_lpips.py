"""The perceptual distance against PyPI's lpips, the authors' program, on the same weights and images.

Differences of maps and gradients are those of the probed values, as a fraction of the largest value of the array.
"""

from __future__ import annotations

import jax
import numpy as np
import pytest

from alexnet_jax import lpips, pretrained
from tests.helpers.references import REFERENCES
from tests.helpers.slow import slow

pytestmark = pytest.mark.optimized

SIZES = ["32x32", "65x97"]
LARGE = ["64x64", "224x224", "301x211", "512x512"]
MAPS = [*SIZES, "301x211"]
CASES = [
    ("32x32", "v0.1"),
    slow("32x32", None),
    slow("65x97", "v0.1"),
    slow("65x97", None),
    *(slow(size, "v0.1") for size in LARGE),
    slow("64x64", None),
]


@pytest.fixture(scope="module")
def params():
    return pretrained("torchvision_features")[1]


@pytest.fixture(scope="module")
def expected():
    return np.load(REFERENCES / "torch" / "lpips.npz")


def draw(size):
    """The images that ``scripts/torch_lpips_reference.py`` drew."""
    height, width = map(int, size.split("x"))
    rng = np.random.RandomState(height * 1000 + width)
    patches = rng.random_sample((3, -(-height // 8), -(-width // 8), 3))
    smooth = patches.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    noise = rng.standard_normal((2, 2, height, width, 3))
    images_a = np.clip(np.stack([smooth[0], smooth[1]]) + 0.02 * noise[0], 0, 1)
    images_b = np.clip(np.stack([smooth[0], smooth[2]]) + 0.1 * noise[1], 0, 1)
    return images_a.astype(np.float32), images_b.astype(np.float32)


def difference(found, expected, key):
    values = np.asarray(found).ravel()[expected[f"{key}/positions"]]
    return np.abs(values - expected[f"{key}/values"]).max() / expected[f"{key}/largest"]


@pytest.mark.parametrize(("size", "heads"), CASES)
def test_distances_maps_and_gradients(params, expected, size, heads):
    images_a, images_b = draw(size)
    ends = np.concatenate([images_a.ravel()[:8], images_b.ravel()[-8:]])
    np.testing.assert_array_equal(ends, expected[f"{size}/pixels_head"])
    key = f"{size}/{heads or 'none'}"

    def total(images):
        distances = lpips(params, images, images_b, heads=heads)
        return distances.sum(), distances

    gradient, distances = jax.grad(total, has_aux=True)(images_a)
    np.testing.assert_allclose(distances, expected[f"{key}/distance"], rtol=1e-5)
    assert difference(gradient, expected, f"{key}/gradient") < 1e-5
    if size in MAPS:
        maps = lpips(params, images_a, images_b, heads=heads, spatial=True)
        assert difference(maps, expected, f"{key}/map") < 1e-5
