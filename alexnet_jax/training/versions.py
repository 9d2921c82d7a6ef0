"""The versions and the processor of a run. With the same ones it is reproducible bit for bit."""

from __future__ import annotations

import platform
from importlib.metadata import version

from alexnet_jax.runtime import cpu_threads, processor

PACKAGES = ("jax", "jaxlib", "flax", "numpy")

Versions = dict[str, str]
"""Version numbers by name: those of ``PACKAGES``, and of Python; ``processor``, and on a CPU ``cpu_threads``."""


def installed_versions() -> Versions:
    """The versions in this process, its processor or accelerator, and the number of threads of a CPU."""
    import jax  # the help of the command reads this module without it

    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
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
    return f"{value} CPU threads" if name == "cpu_threads" else f"{name} {value}"
