"""Every value of every named net and run equals the table of sources."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from alexnet_jax.config import ConvConfig, DenseConfig
from alexnet_jax.presets import PRESETS, preset
from alexnet_jax.variants import VARIANTS, variant
from tests.sources import OURS
from tests.sources.nets import NETS
from tests.sources.presets import RUNS

LAYERS = {"convs": ConvConfig, "dense": DenseConfig}


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """The values of all fields. Those of the layers of a tuple are collected into tuples."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        name, value = prefix + field.name, getattr(config, field.name)
        if name in LAYERS:
            for entry in dataclasses.fields(LAYERS[name]):
                values[f"{name}.{entry.name}"] = tuple(getattr(layer, entry.name) for layer in value)
        elif dataclasses.is_dataclass(value):
            values |= flat(value, f"{name}.")
        else:
            values[name] = value
    return values


def test_every_net_and_run_is_in_the_table():
    assert list(NETS) == list(VARIANTS)
    assert list(RUNS) == list(PRESETS)


def check(found: dict[str, Any], table: dict[str, tuple[Any, str]]) -> None:
    assert set(found) == set(table)
    differing = {name: (found[name], value, source) for name, (value, source) in table.items() if found[name] != value}
    assert not differing


@pytest.mark.parametrize("name", NETS)
def test_every_value_of_a_net_is_that_of_its_source(name):
    check(flat(variant(name)), NETS[name])


@pytest.mark.parametrize("name", RUNS)
def test_every_value_of_a_run_is_that_of_its_source(name):
    config = preset(name)
    net, table = RUNS[name]
    assert config.model == net
    check({field: value for field, value in flat(config).items() if not field.startswith("model.")}, table)


@pytest.mark.parametrize("table", [*NETS.values(), *(table for _, table in RUNS.values())])
def test_every_entry_names_a_source_or_a_reason(table):
    for name, (_, source) in table.items():
        assert len(source) > (len(OURS) + 10 if source.startswith(OURS) else 5), name
