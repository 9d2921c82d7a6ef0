"""The versions, the processor and the devices of a run. With the same ones it is reproducible bit for bit."""

from __future__ import annotations

import platform
from importlib.metadata import version

from alexnet_jax.runtime import cpu_threads, processor

PACKAGES = ("jax", "jaxlib", "flax", "numpy")

Versions = dict[str, str]
"""Version numbers by name: those of ``PACKAGES``, and of Python; ``processor``, ``devices``, their number, ``layout``,
and on a CPU ``cpu_threads``."""


def versions_in_use(devices: int, layout: str) -> Versions:
    """The versions in this process, its processor or accelerator, and the number of threads of a CPU.

    Args:
        devices: the number of devices that the run uses.
        layout: the name of its layout.
    """
    import jax  # the help of the command reads this module without it

    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    versions |= {"devices": str(devices), "layout": layout}
    device = jax.devices()[0]
    if device.platform != "cpu":
        return versions | {"processor": device.device_kind}
    return versions | {"processor": processor(), "cpu_threads": str(cpu_threads())}


def describe_change(before: Versions, after: Versions) -> str | None:
    """One line about what differs, or None if nothing does."""
    changed = [name for name in after if name in before and before[name] != after[name]]
    if not changed:
        return None
    parts = ", ".join(f"{_describe(name, before[name])}, now {after[name]}" for name in changed)
    remedy = f"; NPROC={before['cpu_threads']} keeps its number of threads" if "cpu_threads" in changed else ""
    return f"the run used {parts}: its results may differ from those of an uninterrupted run{remedy}"


def _describe(name: str, value: str) -> str:
    match name:
        case "cpu_threads":
            return f"{value} CPU threads"
        case "devices":
            return f"{value} device(s)"
        case _:
            return f"{name} {value}"
