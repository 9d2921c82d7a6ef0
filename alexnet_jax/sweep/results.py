"""The errors of a sweep's runs, the mean and spread of each setting, and the file that holds them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from alexnet_jax.errors import AlexNetError
from alexnet_jax.files import replace_file
from alexnet_jax.sweep.settings import Setting, SweptRun
from alexnet_jax.training.runs.run_directory import RunDirectory


@dataclass(frozen=True)
class RunResult:
    """The result of one run.

    Attributes:
        run: the name of its directory.
        setting: the values of the options that the sweep varies.
        seed: its random seed.
        arguments: the words of ``alexnet train`` that trained it.
        status: whether it reached its end, or stopped at a loss that is not finite.
        top1_error: the last one of the test images, as a fraction; None if the run diverged or has no test images.
        validation_top1_error: the same of the validation images.
    """

    run: str
    setting: Mapping[str, str]
    seed: int
    arguments: Sequence[str]
    status: Literal["finished", "diverged"]
    top1_error: float | None = None
    validation_top1_error: float | None = None


@dataclass(frozen=True)
class SettingResult:
    """The results of the runs of one setting, which differ in their seeds.

    Attributes:
        setting: the values of the options.
        top1_errors: of the test images, of the runs that have one, as fractions.
        validation_top1_errors: the same of the validation images.
        diverged: the number of runs that diverged.
    """

    setting: Setting
    top1_errors: tuple[float, ...]
    validation_top1_errors: tuple[float, ...]
    diverged: int


def mean_and_spread(errors: Sequence[float]) -> str:
    """The mean of fractions, and their standard deviation (divided by n - 1) if there are several, as percentages."""
    if not errors:
        return "-"
    mean = f"{statistics.mean(errors):.2%}"
    return mean if len(errors) == 1 else f"{mean} ± {100 * statistics.stdev(errors):.2f}"


def diverged(run: SweptRun) -> RunResult:
    """The result of a run whose loss is not finite."""
    return RunResult(run.name, dict(run.setting.values), run.seed, run.arguments, "diverged")


def finished(run: SweptRun, workdir: RunDirectory) -> RunResult:
    """The result of a run that is at its end in ``workdir``."""
    last = {row["split"]: row["top1_error"] for row in workdir.read_metrics()}
    setting = dict(run.setting.values)
    return RunResult(run.name, setting, run.seed, run.arguments, "finished", last.get("test"), last.get("validation"))


def read_results(file: Path) -> dict[str, RunResult]:
    """The results in ``file``, by the names of the runs. An empty dictionary if it does not exist.

    Raises:
        AlexNetError: the file is damaged.
    """
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return {row["run"]: RunResult(**row | {"arguments": tuple(row["arguments"])}) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AlexNetError(f"{file}: cannot be read as the results of a sweep; remove it, and run again") from error


def write_results(file: Path, results: Mapping[str, RunResult]) -> None:
    """Writes what ``read_results`` reads."""
    replace_file(file, json.dumps([asdict(result) for result in results.values()], indent=2) + "\n")


def summarize(runs: Iterable[SweptRun], results: Mapping[str, RunResult]) -> list[SettingResult]:
    """Groups the ``results`` of ``runs`` by setting."""
    groups: dict[Setting, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(run.setting, []).append(results[run.name])
    return [
        SettingResult(
            setting,
            tuple(result.top1_error for result in group if result.top1_error is not None),
            tuple(result.validation_top1_error for result in group if result.validation_top1_error is not None),
            sum(result.status == "diverged" for result in group),
        )
        for setting, group in groups.items()
    ]
