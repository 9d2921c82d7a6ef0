"""Synthetic photos."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.bench.synthetic_photos import prepare_photos, synthetic_photo
from alexnet_jax.data.dataset import open_dataset


def test_jpeg_compresses_synthetic_photos_like_photos():
    rng, content = np.random.default_rng(0), io.BytesIO()
    for _ in range(4):
        Image.fromarray(synthetic_photo(rng, 256)).save(content, "JPEG", quality=95)
    assert content.tell() / (4 * 256**2) == pytest.approx(0.55, abs=0.03)  # bytes per pixel


def test_prepared_data_set_has_train_and_test(tmp_path):
    data = open_dataset(prepare_photos(tmp_path, 20, 24, "raw"))
    assert (len(data.train), len(data.test), len(data.class_names)) == (20, 2, 10)
    assert data.train[0]["image"].shape == (24, 24, 3)
