"""Grids of TPU chips by name, such as ``v5e:4x4``, and their devices, which only the compiler needs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import jax

from alexnet_jax.errors import UsageError, require_package, unknown_name
from alexnet_jax.plan.chips import CHIPS, Chip

_PLATFORM = "tpu"
_SETTINGS = {
    "TPU_SKIP_MDS_QUERY": "1",  # libtpu would ask the machine's metadata server
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # two processes can compile at once, because neither has a TPU
}


@dataclass(frozen=True)
class Topology:
    """A grid of chips."""

    chip: Chip
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """As in ``parse_topology``."""
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def chips(self) -> int:
        """The number of chips."""
        return math.prod(self.shape)

    @property
    def link(self) -> float:
        """Bytes per second of one link, in one direction."""
        return self.chip.interconnect / (2 * len(self.shape))

    @property
    def links(self) -> int:
        """The links of the chip that has the fewest: one for each side, two if the grid wraps around."""
        wraps = all(side % self.chip.wrap == 0 for side in self.shape)
        return sum((2 if wraps else 1) for side in self.shape if side > 1)

    def bandwidth(self, group: int) -> float:
        """Bytes per second that a chip can send to the others in a group of chips.

        All chips use all links of the grid, two chips the one between them, and other groups those along one side.
        """
        if group == self.chips:
            return self.links * self.link
        return self.link


def parse_topology(name: str) -> Topology:
    """The topology called CHIP:SHAPE, such as ``v5e:4x4`` or ``v5p:2x2x1``.

    Raises:
        UsageError: there is no such chip, or it is not offered in this shape.
    """
    kind, _, sides = name.partition(":")
    if kind not in CHIPS:
        raise unknown_name("chip", kind, CHIPS)
    chip = CHIPS[kind]
    known = {"x".join(map(str, shape)): shape for shape in chip.shapes}
    if sides not in known:
        raise UsageError(f"--topology is {name!r}: use {kind}:SHAPE with one of the shapes {', '.join(known)}")
    return Topology(chip, known[sides])


def require_compiler() -> None:
    """Checks that the compiler for TPUs is installed.

    Raises:
        UsageError: it is not.
    """
    require_package("libtpu", "the compiler for TPUs", "tpu")


def devices_of(topology: Topology) -> Sequence[jax.Device]:
    """The devices of a topology. Programs can be compiled for them, and nothing else.

    Raises:
        UsageError: the compiler is not installed.
    """
    require_compiler()
    from jax.experimental import topologies

    settings = _SETTINGS | {
        "TPU_ACCELERATOR_TYPE": f"{topology.chip.accelerator}-{topology.chip.cores * topology.chips}"
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    host = {"chips_per_host_bounds": (1, 1, 1)} if topology.chips == 1 else {}
    return topologies.get_topology_desc(platform=_PLATFORM, topology_name=topology.name, **host).devices
