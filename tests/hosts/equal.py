"""Trains a small run in several processes, and restores its checkpoint in others.

    python -m tests.hosts.equal 2x1 2x2

Each PROCESSESxDEVICES is trained, with its number of devices in each process. Prints how far each is from a run on one
device, and the digest of its parameters as it ended and as each of the others, one device and two restored it. All
processes use the same number of threads, because XLA divides sums among its threads.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

import tests.chaos.__main__  # noqa: F401  (imports what the processes need, before they are forked)
from alexnet_jax.training.runs.checkpoint import Checkpoints
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.steps.state import TrainState, abstract_train_state
from tests.hosts.job import Job

ONE, TWO = "1x1", "1x2"


def main() -> None:
    """Runs the script."""
    os.environ.setdefault("NPROC", "8")
    names = [ONE, TWO, *sys.argv[1:]]
    root = Path(tempfile.mkdtemp(prefix="alexnet-equal-"))
    try:
        jobs: dict[str, Job] = {}
        for name in names:
            processes, devices = map(int, name.split("x"))
            photos = jobs[ONE].photos if jobs else None
            jobs[name] = Job(root / name, processes, devices, photos)
        digests = {name: job.finish().digest for name, job in jobs.items()}
        restorings = {
            name: {other: restored_by(jobs[other], jobs[name]) for other in names if other != name} for name in names
        }
        states = {name: restored(job) for name, job in jobs.items()}  # starts JAX, so nothing can be forked from here
        losses = {name: losses_of(job) for name, job in jobs.items()}
        for name in names[1:]:
            print(
                json.dumps(
                    {
                        "name": name,
                        "losses": max(abs(found - want) for found, want in zip(losses[name], losses[ONE], strict=True)),
                        "params": difference(states[name], states[ONE]),
                        "digest": digests[name],
                        "restored": restorings[name],
                        "files": sorted(path.name for path in jobs[name].workdir.iterdir()),
                    }
                ),
                flush=True,
            )
    finally:
        shutil.rmtree(root, ignore_errors=True)


def restored_by(job: Job, saved: Job) -> str:
    """The digest after the processes of ``job`` restored the finished run of ``saved``, and took no step."""
    own = job.workdir, job.config
    job.workdir, job.config = saved.workdir, saved.config
    try:
        return job.finish().digest
    finally:
        job.workdir, job.config = own


def restored(job: Job) -> TrainState:
    run = RunDirectory(job.workdir)
    state = Checkpoints(run.checkpoints, print).restore(abstract_train_state(run.read_config()))
    assert state is not None
    return state


def losses_of(job: Job) -> list[float]:
    return [row["loss"] for row in RunDirectory(job.workdir).read_metrics() if row["split"] == "train"]


def difference(found: TrainState, want: TrainState) -> float:
    """Of the parameters, relative to the largest value of each array."""
    pairs = [
        (found.params[layer][name], array) for layer, arrays in want.params.items() for name, array in arrays.items()
    ]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


if __name__ == "__main__":
    main()
