"""The record of an experiment: a JSON file with everything that its verdict follows from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alexnet_jax.bench.machine import describe_machine
from alexnet_jax.files import replace_file
from experiments.kit.experiment import Experiment, Figures, Trained
from experiments.kit.nets import TrainedNet, digest_of, without_place
from experiments.kit.settings import Scale
from experiments.kit.verdict import Effect, Verdict

ROOT = Path(__file__).parents[2]
"""The root of the repository."""

RECORDS = ROOT / "experiments" / "records"
"""The directory of the records and their plots."""


@dataclass(frozen=True)
class Record:
    """What an experiment found.

    Attributes:
        experiment: its name.
        scale: the scale of the runs.
        command: the command that made the record.
        commit: the commit of the repository, with "+" if files were changed.
        pins_sha256: the SHA-256 of the pinned dependencies in pyproject.toml.
        machine: the processor, the devices, the versions and the date.
        seeds: the number of seeds.
        configs: the run of each arm with seed 0, as JSON.
        runs: a row for each net: its arm, seed and errors, and its errors on test images over the epochs.
        figures: what is compared, by name: one figure per seed.
        effect: the effect that the rule computes from the figures.
        verdict: the verdict of the rule.
    """

    experiment: str
    scale: Scale
    command: str
    commit: str
    pins_sha256: str
    machine: Mapping[str, Any]
    seeds: int
    configs: Mapping[str, Any]
    runs: Sequence[Mapping[str, Any]]
    figures: Figures
    effect: Effect
    verdict: Verdict

    @property
    def name(self) -> str:
        """The name of its files, without suffix."""
        return f"{self.experiment}-{self.scale}"


def make_record(experiment: Experiment, scale: Scale, command: str, trained: Trained) -> Record:
    """Measures the figures of ``experiment`` in its trained nets, and applies its rule."""
    figures = {name: list(values) for name, values in experiment.measure(trained).items()}
    effect = experiment.rule.effect(figures)
    return Record(
        experiment=experiment.name,
        scale=scale,
        command=command,
        commit=commit(),
        pins_sha256=pins_sha256(),
        machine=describe_machine(),
        seeds=len(next(iter(trained.values()))),
        configs={arm: dataclasses.asdict(without_place(nets[0].config)) for arm, nets in trained.items()},
        runs=[_row(arm, net) for arm, nets in trained.items() for net in nets],
        figures=figures,
        effect=effect,
        verdict=experiment.rule.verdict(effect),
    )


def write_record(record: Record, directory: Path = RECORDS) -> Path:
    """Writes ``record`` as JSON, and returns the file."""
    return write_json(asdict(record), directory / f"{record.name}.json")


def write_json(values: Mapping[str, Any], file: Path) -> Path:
    """Writes the fields of a record as JSON, makes the directory where it is missing, and returns ``file``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, json.dumps(values, indent=1) + "\n")
    return file


def read_records(directory: Path = RECORDS) -> dict[tuple[str, Scale], Record]:
    """The records in ``directory``, by experiment and scale."""
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(directory.glob("*.json"))]
    records = [Record(**(row | {"effect": Effect(**row["effect"])})) for row in rows]
    return {(record.experiment, record.scale): record for record in records}


def pins_sha256() -> str:
    """The SHA-256 of the pinned dependencies."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return hashlib.sha256("\n".join(settings["tool"]["uv"]["constraint-dependencies"]).encode()).hexdigest()


def describe(machine: Mapping[str, Any]) -> str:
    """The machine, the version of JAX and the date of a record, in words. Early records do not know the threads."""
    threads = f" with {machine['cpu_threads']} XLA thread(s)" if "cpu_threads" in machine else ""
    return f"{machine['cores']} cores of {machine['processor']}{threads}, jax {machine['jax']}, {machine['date']}"


def commit() -> str:
    """The commit of the repository, with "+" if files were changed."""

    def git(*arguments: str) -> str:
        done = subprocess.run(("git", "-C", str(ROOT), *arguments), capture_output=True, text=True, check=True)
        return done.stdout.strip()

    is_changed = bool(git("status", "--porcelain", "--untracked-files=no"))
    return git("rev-parse", "HEAD") + ("+" if is_changed else "")


def short_commit(commit: str) -> str:
    """The first digits of what ``commit`` returns, and the "+"."""
    return commit[:12] + "+" * commit.endswith("+")


def _row(arm: str, net: TrainedNet) -> dict[str, Any]:
    row = {"arm": arm, "seed": net.config.seed, "config_sha256": digest_of(net.config), "diverged": net.has_diverged}
    if net.has_diverged:
        return row
    curve = [[test["epoch"], test["top1_error"], test["loss"]] for test in net.rows("test")]
    return row | {"train_top1_error": net.error("train"), "test_top1_error": net.error("test"), "test_curve": curve}
