"""The record of an entry: a JSON file with everything that its row in the table follows from."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alexnet_jax.bench.machine import describe_machine
from alexnet_jax.errors import AlexNetError
from alexnet_jax.net.summary import summarize_model
from alexnet_jax.training.runs.goodput import goodput
from experiments.kit.nets import TrainedNet, digest_of, without_place
from experiments.kit.record import commit, pins_sha256, write_json

RECORDS = Path(__file__).parent / "records"
"""The directory of the records."""


@dataclass(frozen=True)
class EntryRecord:
    """What an entry reached.

    Attributes:
        entry: its name.
        command: the command that made the record.
        commit: the commit of the repository, with "+" if files were changed.
        pins_sha256: the SHA-256 of the pinned dependencies in pyproject.toml.
        machine: the processor, the devices, the versions and the date.
        config: the run with seed 0, as JSON.
        parameters: the number of parameters of the net.
        macs: the multiply-accumulates of a forward pass of one image.
        runs: a row for each seed: its top-1 error on the test images, its seconds from start to end, with compilation
            and evaluation, and the digest of its config.
    """

    entry: str
    command: str
    commit: str
    pins_sha256: str
    machine: Mapping[str, Any]
    config: Mapping[str, Any]
    parameters: int
    macs: int
    runs: Sequence[Mapping[str, Any]]

    @property
    def errors(self) -> list[float]:
        """The top-1 error of each seed on the test images, as a fraction."""
        return [run["test_top1_error"] for run in self.runs]

    @property
    def mean_error(self) -> float:
        """The mean of ``errors``."""
        return statistics.mean(self.errors)

    @property
    def longest_minutes(self) -> float:
        """The time of the slowest seed, in minutes."""
        return max(float(run["seconds"]) for run in self.runs) / 60


def make_record(entry: str, command: str, nets: Sequence[TrainedNet]) -> EntryRecord:
    """The record of the trained ``nets`` of an entry, one per seed."""
    summary = summarize_model(nets[0].config.model)
    return EntryRecord(
        entry=entry,
        command=command,
        commit=commit(),
        pins_sha256=pins_sha256(),
        machine=describe_machine(),
        config=asdict(without_place(nets[0].config)),
        parameters=summary.parameters,
        macs=summary.macs,
        runs=[_row(net) for net in nets],
    )


def write_record(record: EntryRecord, directory: Path = RECORDS) -> Path:
    """Writes ``record`` as JSON, and returns the file."""
    return write_json(asdict(record), directory / f"{record.entry}.json")


def read_records(directory: Path = RECORDS) -> list[EntryRecord]:
    """The records in ``directory``, the lowest mean error first."""
    records = [EntryRecord(**json.loads(file.read_text(encoding="utf-8"))) for file in sorted(directory.glob("*.json"))]
    return sorted(records, key=lambda record: record.mean_error)


def _row(net: TrainedNet) -> dict[str, Any]:
    return {
        "seed": net.config.seed,
        "config_sha256": digest_of(net.config),
        "test_top1_error": net.error("test"),
        "seconds": round(_seconds_of(net), 1),
    }


def _seconds_of(net: TrainedNet) -> float:
    """The seconds in which a process worked on the run of ``net``, until its last row of metrics."""
    rows = net.workdir.read_metrics()
    found = goodput(net.workdir.read_starts(), rows, net.config.batch_size, rows[-1]["time"])
    if found is None:
        raise AlexNetError(f"{net.workdir.root}: its starts.json is damaged, so its time is not known; delete the run")
    return found.running
