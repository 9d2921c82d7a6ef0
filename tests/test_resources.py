"""Limits of control groups, in a copy of the files that the kernel shows."""

from __future__ import annotations

import os

import pytest

from alexnet_jax import resources


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Makes a file system of a machine with 64 CPUs and some terabytes of memory."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**30}[name])

    def make(groups, files):
        for name, text in {"proc/self/cgroup": groups, **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text + "\n")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("groups", "files", "cpus", "memory"),
    [
        ("", {}, 64, 2**42),
        ("0::/", {"sys/fs/cgroup/cpu.max": "max 100000", "sys/fs/cgroup/memory.max": "max"}, 64, 2**42),
        ("0::/", {"sys/fs/cgroup/cpu.max": "250000 100000", "sys/fs/cgroup/memory.max": "4000000000"}, 3, 4 * 10**9),
        (  # the limit of an ancestor
            "0::/pod/container",
            {"sys/fs/cgroup/pod/cpu.max": "50000 100000", "sys/fs/cgroup/pod/container/cpu.max": "max 100000"},
            1,
            2**42,
        ),
        ("0::/of/the/host", {"sys/fs/cgroup/memory.max": "4000000000"}, 64, 4 * 10**9),
        (  # version 1
            "4:memory:/job\n1:cpu,cpuacct:/job",
            {
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "4000000000",
            },
            2,
            4 * 10**9,
        ),
        (
            "1:cpu:/",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            64,
            2**42,
        ),
    ],
)
def test_limits_of_control_groups_count(system, groups, files, cpus, memory):
    root = system(groups, files)
    assert (resources.usable_cpus(root), resources.usable_memory(root)) == (cpus, memory)


def test_affinity_counts(system, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert resources.usable_cpus(system("", {})) == 2
