"""TPU chips: the published specifications, and the clock frequency that follows from them.

Source: the system architecture pages of Cloud TPU (docs.cloud.google.com/tpu/docs: v5e, v5p, v6e). They give the
bandwidth between chips for both directions together, or for one direction in Gbit/s. Here it is for one direction. Of
16, 95 and 32 GB of memory, libtpu 0.0.42 leaves the amounts below to a program.

The compiler estimates cycles, not seconds, and no clock frequency is published. It is the peak divided by the products
of all matrix units in a cycle: 1.50, 1.75 and 1.75 GHz. The page of v6e lists two matrix units of 256 x 256. But for
the product of two matrices of 8192 x 8192 the compiler estimates 2,977,840 cycles. That is faster than two such units
could be, and 70% of the speed of four, so v6e has four units here. (For v5e and v5p, the estimates are 88% and 90% of
the speed of their units.)
"""

from __future__ import annotations

from dataclasses import dataclass

_GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """A kind of chip.

    Attributes:
        name: its name in a topology.
        accelerator: its name in ``TPU_ACCELERATOR_TYPE``.
        cores: its TensorCores, which the compiler uses as one.
        macs_per_cycle: multiply-accumulates of all its matrix units in a cycle.
        flops: peak floating-point operations per second in bfloat16.
        memory: bytes of memory for a program.
        memory_bandwidth: bytes per second.
        interconnect: bytes per second that leave the chip through all its links to other chips.
        shapes: the grids of up to 256 chips. A chip has two links for each of their sides.
        wrap: a grid has links between the first and the last chips of its sides if ``wrap`` divides all of them.
    """

    name: str
    accelerator: str
    cores: int
    macs_per_cycle: int
    flops: float
    memory: int
    memory_bandwidth: float
    interconnect: float
    shapes: tuple[tuple[int, ...], ...]
    wrap: int

    @property
    def clock(self) -> float:
        """Cycles per second."""
        return self.flops / (2 * self.macs_per_cycle)


_FLAT = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
_CUBES = ((1, 1, 1), (2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4), (4, 4, 4), (4, 4, 8), (4, 8, 8))

CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v5e", "v5litepod", 1, 4 * 128**2, 197e12, int(15.75 * _GIB), 819e9, 200e9, _FLAT, wrap=16),
        Chip("v5p", "v5p", 2, 2 * 4 * 128**2, 459e12, int(95.74 * _GIB), 2765e9, 600e9, _CUBES, wrap=4),
        Chip("v6e", "v6e", 1, 4 * 256**2, 918e12, int(31.25 * _GIB), 1638e9, 400e9, _FLAT, wrap=16),
    )
}
"""The chips by name."""
