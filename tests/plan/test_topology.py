"""Names of topologies, and the facts about chips that follow from each other."""

from __future__ import annotations

import importlib.util

import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.plan.chips import CHIPS
from alexnet_jax.plan.topology import devices_of, parse_topology


@pytest.mark.parametrize(
    ("name", "chips"), [("v5e:1x1", 1), ("v5e:4x4", 16), ("v5p:2x2x1", 4), ("v5p:4x8x8", 256), ("v6e:16x16", 256)]
)
def test_a_name_is_that_of_a_chip_and_a_grid(name, chips):
    topology = parse_topology(name)
    assert (topology.name, topology.chips) == (name, chips)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v5", "unknown chip 'v5': did you mean v5"),
        ("h100:8", "unknown chip 'h100': choose from v5e, v5p, v6e"),
        ("v5e:3x3", "--topology is 'v5e:3x3': use v5e:SHAPE with one of the shapes 1x1, 2x2, 2x4"),
        ("v5p:4x4", "--topology is 'v5p:4x4': use v5p:SHAPE with one of the shapes 1x1x1, 2x2x1"),
        ("v5e", "--topology is 'v5e': use v5e:SHAPE"),
    ],
)
def test_a_wrong_name_is_refused_with_what_works(name, message):
    with pytest.raises(UsageError, match=message):
        parse_topology(name)


def test_clocks_follow_from_the_published_peaks():
    assert {name: round(chip.clock / 1e9, 2) for name, chip in CHIPS.items()} == {"v5e": 1.5, "v5p": 1.75, "v6e": 1.75}


@pytest.mark.parametrize(
    ("name", "links"),
    [("v5e:1x1", 0), ("v5e:2x2", 2), ("v5e:4x4", 2), ("v5e:16x16", 4), ("v5p:2x2x1", 2), ("v5p:4x4x4", 6)],
)
def test_a_corner_has_a_link_for_each_side_and_a_torus_has_no_corner(name, links):
    topology = parse_topology(name)
    assert topology.links == links
    assert topology.bandwidth(topology.chips) == pytest.approx(links * topology.link)


def test_all_links_together_have_the_published_bandwidth():
    assert parse_topology("v5e:16x16").bandwidth(256) == 200e9
    assert parse_topology("v5e:16x16").bandwidth(2) == 50e9


def test_a_missing_compiler_is_named_with_the_extra_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs the package libtpu: install it with .* `uv sync --extra tpu`"):
        devices_of(parse_topology("v5e:2x2"))
