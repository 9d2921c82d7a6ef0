"""The processors and the memory that this process may use, which containers and batch systems limit."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from alexnet_jax.runtime import usable_cores


def usable_cpus(root: Path = Path("/")) -> int:
    """The number of CPUs that this process may use: its cores, or less if its control group has a quota of time.

    Args:
        root: the root of the file system.
    """
    quotas = []
    for group in _control_groups(root, "cpu"):
        numbers = (_text(group / "cpu.max") or "").split() or [
            _text(group / f"cpu.cfs_{name}_us") or "max" for name in ("quota", "period")
        ]
        if all(number.isdigit() and int(number) > 0 for number in numbers):  # no quota is "max" or -1
            quotas.append(math.ceil(int(numbers[0]) / int(numbers[1])))
    return min([usable_cores(), *quotas])


def usable_memory(root: Path = Path("/")) -> int:
    """The bytes of memory that this process may use: those of the machine, or the limit of its control group.

    Args:
        root: the root of the file system.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for group in _control_groups(root, "memory"):
        text = _text(group / "memory.max") or _text(group / "memory.limit_in_bytes") or "max"
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """The directories of this process's control groups that may limit ``controller``, with their ancestors.

    A line of /proc/self/cgroup is ``number:controllers:path``. Version 2 has one hierarchy, without controllers. In a
    container the path may be that of the host; then only the mounted root exists.
    """
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mounted = root / "sys/fs/cgroup" / (controller if controllers else "")
        group = mounted / path.lstrip("/")
        yield group
        yield from (parent for parent in group.parents if parent.is_relative_to(mounted))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
