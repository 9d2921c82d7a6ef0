"""Comparison of parameter trees."""

from __future__ import annotations

import jax
import numpy as np


def assert_same(found, expected):
    """Checks that two trees have the same structure and equal arrays."""
    jax.tree.map(np.testing.assert_array_equal, found, expected)
