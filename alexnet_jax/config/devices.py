"""The devices that a run asks for. They are not part of its config, because a run can continue on others."""

from __future__ import annotations

from typing import Literal, get_args

from alexnet_jax.config.checks import check
from alexnet_jax.errors import UsageError, unknown_name

NamedLayout = Literal["single", "towers", "data", "mesh", "hybrid"]
"""The names of the layouts (``alexnet_jax.training.layouts``)."""

LayoutName = Literal["auto", NamedLayout]
"""The name of a layout, or ``auto`` for the one that suits the devices."""

MOST_VIRTUAL_DEVICES = 64
"""The largest number of virtual devices of a CPU. Each needs two threads of XLA."""

_DEVICES = {"single": 1, "towers": 2}
_DEVICES_OF_A_PART = {"auto": 1, "data": 1, "mesh": 2, "hybrid": 1}  # that compute one part of a batch


def requested_devices(layout: LayoutName, devices: int | None, data_parallel: int | None) -> int | None:
    """The number of devices that a run asks for.

    Args:
        layout: the name of the layout.
        devices: the number of devices, or None if it follows from the others.
        data_parallel: the number of parts that a batch is divided into, or None.

    Returns:
        The number, or None for a default.

    Raises:
        UsageError: the arguments contradict each other, or there is no such layout.
    """
    if layout not in get_args(LayoutName):
        raise unknown_name("--layout", layout, get_args(LayoutName))
    for name, value in (("--devices", devices), ("--data_parallel", data_parallel)):
        check(value is None or value > 0, name, value, "use a number above 0")
    needed = _DEVICES.get(layout)
    reason = f"--layout {layout}"
    if data_parallel is not None:
        if layout in _DEVICES and data_parallel > 1:
            raise UsageError(
                f"--data_parallel is {data_parallel} with --layout {layout}: use --layout data, mesh or hybrid"
            )
        needed = needed or data_parallel * _DEVICES_OF_A_PART[layout]
        reason += f" with --data_parallel {data_parallel}"
    if devices is not None and needed not in (None, devices):
        raise UsageError(f"--devices is {devices}: {reason} needs --devices {needed}")
    return needed if devices is None else devices


def virtual_devices(
    layout: LayoutName, devices: int | None, data_parallel: int | None, processes: int = 1, towers: int = 2
) -> int:
    """The number of devices that a CPU should have: as many as the run asks for, at most ``MOST_VIRTUAL_DEVICES``.

    The default is two, or with ``auto`` one for each of the ``towers`` of the net. Each of several ``processes`` should
    have its part of them, by default one. The other arguments and the errors are those of ``requested_devices``.
    """
    requested = requested_devices(layout, devices, data_parallel)
    if processes > 1:
        return max(1, (requested or 1) // processes)
    return min(requested or (towers if layout == "auto" else 2), MOST_VIRTUAL_DEVICES)
