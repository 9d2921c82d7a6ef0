"""Which AlexNet a net is: its name, its preprocessing, and the published accuracies of that net."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.errors import first_few
from alexnet_jax.preprocessing.statistics import Statistics
from alexnet_jax.presets import PRESETS, preset
from alexnet_jax.variants.nearest import Nearest
from alexnet_jax.variants.published import published_for
from alexnet_jax.weights.untrained import looks_untrained
from alexnet_jax.weights.weights import Weights

_UNKNOWN = "not known"


def describe_nearest(nearest: Nearest) -> str:
    """The name of the net, and the fields in which it differs from the named one."""
    if not nearest.differences:
        return nearest.variant
    differences = first_few([str(difference) for difference in nearest.differences])
    return (
        f"{nearest.variant}, but {differences}" if nearest.is_exact else f"nearest to {nearest.variant}: {differences}"
    )


def preprocessing_of(config: TrainConfig, statistics: Statistics | None) -> dict[str, Any]:
    """The preprocessing of a run as values for JSON. The statistics are those of pixels in 0..255."""
    augment = config.augment
    means = stddevs = None
    if statistics is not None:
        mean = np.asarray(statistics.mean)
        means = [round(float(value), 2) for value in mean.reshape(-1, mean.shape[-1]).mean(axis=0)]
        stddevs = [round(float(value), 2) for value in np.asarray(statistics.colour_stddev)]
    return {
        "crop": config.model.image_size,
        "stored": config.data.image_size,
        "resize": config.data.resize,
        "mean": augment.mean,
        "channel_means": means,
        "channel_stddevs": stddevs if augment.divide_by_stddev else None,
        "divides_by_stddev": augment.divide_by_stddev,
    }


def describe_preprocessing(values: dict[str, Any]) -> str:
    """The values of ``preprocessing_of`` in a sentence."""
    resize = "shorter side scaled, centre cropped" if values["resize"] == "crop" else "both sides scaled"
    text = f"{values['crop']} x {values['crop']} crops of {values['stored']} x {values['stored']} pixels ({resize})"
    means, stddevs = (_list(values[name]) for name in ("channel_means", "channel_stddevs"))
    kind = "the mean image" if values["mean"] == "image" else "the mean of each channel"
    text += f", minus {kind}{means}"
    return f"{text}, divided by the standard deviation{stddevs}" if values["divides_by_stddev"] else text


def _list(values: list[float] | None) -> str:
    return "" if values is None else f" ({', '.join(f'{value:g}' for value in values)} of 255)"


def facts_of(nearest: Nearest, config: ModelConfig, weights: Weights | None) -> dict[str, Any]:
    """What ``alexnet summary`` says about a net, as values for JSON.

    Args:
        nearest: its name.
        config: the net.
        weights: its weights, or None for a named net. Its preprocessing is then that of its first preset, if any.
    """
    facts: dict[str, Any] = {
        "variant": nearest.variant,
        "differences": [asdict(difference) for difference in nearest.differences],
    }
    if weights is None:
        names = [name for name in PRESETS if preset(name).model == config]
        facts["presets"] = names
        facts["preprocessing"] = preprocessing_of(preset(names[0]), None) if names else None
    else:
        facts["preprocessing"] = preprocessing_of(weights.config, weights.statistics)
        facts["step"] = weights.step or None
        facts["missing_layers"] = list(weights.missing_layers)
        facts["looks_untrained"] = looks_untrained(weights.params)
    rows = () if facts.get("missing_layers") else published_for(nearest.variant)
    return facts | {"published": [asdict(row) for row in rows]}


def describe_facts(nearest: Nearest, config: ModelConfig, facts: dict[str, Any]) -> dict[str, str]:
    """The values of ``facts_of`` as a text for each name."""
    preprocessing = facts["preprocessing"]
    lines = {
        "net": describe_nearest(nearest),
        "images": _UNKNOWN if preprocessing is None else describe_preprocessing(preprocessing),
    }
    if facts.get("presets"):
        lines["presets"] = ", ".join(facts["presets"])
    if "step" in facts:
        lines["trained"] = _UNKNOWN if facts["step"] is None else f"{facts['step']:,} steps"
    if facts.get("missing_layers"):
        lines["missing"] = ", ".join(facts["missing_layers"])
        return lines | {"published": "no accuracy without these layers; pretrained:torchvision has the whole net"}
    rows, note = published_for(nearest.variant), ""
    if not rows and config.channels == 3 and config.image_size > 200:
        rows, note = published_for(None), "none of this net; AlexNets of other programs:\n"
    if not rows:
        return lines | {"published": "no accuracy"}
    return lines | {"published": note + "\n".join(map(str, rows))}
