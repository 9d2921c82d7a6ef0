"""Whether weights look as they did before training."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, PyTree

_SAMPLE = 2**20
"""The largest number of weights to examine in a layer."""
_STANDARD_ERRORS = 5.0
_EXCESS_KURTOSES = {"normal": 0.0, "truncated normal": -0.635, "uniform": -1.2}
"""The excess kurtosis of the usual initialisers. A truncated normal is cut at two standard deviations."""
_KURTOSIS_ROUNDING = 0.02
_SPREAD_ROUNDING = 0.05
_RANGE_ROUNDING = 1.05  # the largest of a few draws is less than the bound


def looks_untrained(params: PyTree) -> bool:
    """Whether all layers look like draws of a usual initialiser, of any standard deviation.

    Such a kernel has a mean of 0, the excess kurtosis of a normal, truncated normal or uniform distribution, and the
    same variance in every unit, all within what chance allows. Its biases are all equal, or, as PyTorch draws them, in
    the range of a uniform kernel. Training soon changes each of them in some layer. Kernels that are all equal count as
    untrained, kernels that are not finite do not.

    Args:
        params: a parameter tree, ``conv1`` to ``fc8``, each with a ``bias``, and a ``kernel`` whose last axis is the
            units.
    """
    return all(
        _looks_drawn(_sample(np.asarray(layer["kernel"])), np.asarray(layer["bias"])) for layer in params.values()
    )


def _sample(kernel: np.ndarray) -> Float[np.ndarray, "inputs units"]:
    """Some units of ``kernel``, from all towers."""
    units = kernel.reshape(-1, kernel.shape[-1])
    return units[:, :: -(-units.size // _SAMPLE)].astype(np.float64)


def _looks_drawn(units: Float[np.ndarray, "inputs units"], bias: np.ndarray) -> bool:
    if not np.isfinite(units).all():
        return False
    stddev = units.std()
    if stddev == 0:
        return bool(np.ptp(bias) == 0)
    scaled = units / stddev
    if abs(scaled.mean()) > _STANDARD_ERRORS / np.sqrt(scaled.size):
        return False
    kurtosis = float((scaled**4).mean()) - 3
    allowed = _STANDARD_ERRORS * np.sqrt(24 / scaled.size) + _KURTOSIS_ROUNDING
    fitting = {name for name, usual in _EXCESS_KURTOSES.items() if abs(kurtosis - usual) <= allowed}
    in_range = "uniform" in fitting and np.abs(bias).max() <= _RANGE_ROUNDING * np.abs(units).max()
    if not fitting or not (np.ptp(bias) == 0 or in_range):
        return False
    # The variance over the units of the mean square of a unit, relative to that of independent draws.
    spread = np.square(scaled).mean(axis=0).var() * len(scaled) / (kurtosis + 2)
    return bool(abs(spread - 1) < _STANDARD_ERRORS * np.sqrt(2 / scaled.shape[1]) + _SPREAD_ROUNDING)
