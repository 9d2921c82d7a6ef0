"""The table of published accuracies."""

from __future__ import annotations

import sys

import pytest

from alexnet_jax.presets import PRESETS, preset
from alexnet_jax.variants import VARIANTS
from alexnet_jax.variants.nearest import nearest_variant
from alexnet_jax.variants.published import PUBLISHED


def is_named(percent: float, text: str) -> bool:
    """Whether ``text`` names an accuracy or its error, with at least as many digits as it has after the point."""
    return any(f"{value:.{digits}f}%" in text for value in (percent, 100 - percent) for digits in (0, 1, 2, 3))


def test_docstrings_of_presets_name_the_accuracies():
    texts: dict[str, str] = {}
    for name, make in PRESETS.items():
        net = nearest_variant(preset(name).model).variant
        texts[net] = f"{texts.get(net, '')} {make.__doc__} {sys.modules[make.__module__].__doc__}"
    for row in PUBLISHED:
        if row.variant in texts and row.images != "ILSVRC-2010 test":
            assert is_named(row.top1, texts[row.variant]), row
            assert row.top5 is None or is_named(row.top5, texts[row.variant]), row


def test_rows_belong_to_named_nets():
    assert {row.variant for row in PUBLISHED} <= {*VARIANTS, None}
    assert all(row.top5 is None or row.top1 < row.top5 < 100 for row in PUBLISHED)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_net_is_nearest_to_itself(name):
    nearest = nearest_variant(VARIANTS[name]())
    assert (nearest.variant, nearest.differences) == (name, ())
