"""The versions of the packages that a run depends on. With the same versions, a run is reproducible bit for bit."""

from __future__ import annotations

import platform
from importlib.metadata import version

PACKAGES = ("jax", "jaxlib", "flax", "numpy")

Versions = dict[str, str]
"""Version numbers by name: those of ``PACKAGES``, and of Python."""


def installed_versions() -> Versions:
    """The versions in this process."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def describe_change(before: Versions, after: Versions) -> str | None:
    """One line about what differs, or None if nothing does."""
    changed = [name for name in after if before.get(name) != after[name]]
    if not changed:
        return None
    parts = ", ".join(f"{name} {before.get(name, 'of an unknown version')}, now {after[name]}" for name in changed)
    return f"the run used {parts}: its results may differ from those of a run on one version"
