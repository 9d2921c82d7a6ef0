"""Programs that also get the rows of metrics: TensorBoard, Weights & Biases, Trackio.

A new one is a function that returns a ``Logger``, a line in ``_OPEN`` and an extra in ``pyproject.toml``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import first_line, require_package

LoggerName = Literal["tensorboard", "wandb", "trackio"]
_PROJECT = "alexnet_jax"
_NOT_VALUES = ("step", "split", "time")


@dataclass(frozen=True)
class Logger:
    """Gets values by name, such as ``train/loss``, at a step. It is closed at the end of the run."""

    log: Callable[[int, dict[str, float]], None]
    close: Callable[[], None]


class MetricsLogger:
    """A context manager that sends rows to a program. An error of that program never stops a run.

    Args:
        name: the program, or None for none.
        root: the run directory.
        config: the run.
        start: the step from which the run starts or resumes.
        say: called with a line about an error of the program, which then gets no more rows.
    """

    def __init__(
        self, name: LoggerName | None, root: Path, config: TrainConfig, start: int, say: Callable[[str], None]
    ) -> None:
        self._name = name
        self._say = say
        self._logger: Logger | None = None
        if name is not None:
            self._guard(lambda: setattr(self, "_logger", _OPEN[name](root, config, start)))

    def __enter__(self) -> MetricsLogger:
        return self

    def __exit__(self, *_: object) -> None:
        if self._logger is not None:
            self._guard(self._logger.close)

    def row(self, row: dict[str, Any]) -> None:
        """Sends a row of metrics."""
        if self._logger is not None:
            values = {f"{row['split']}/{name}": float(row[name]) for name in row if name not in _NOT_VALUES}
            logger = self._logger
            self._guard(lambda: logger.log(row["step"], values))

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # whatever another program raises
            self._logger = None
            self._say(
                f"note      {self._name}: {first_line(error)}; it gets no more rows, metrics.jsonl has all of them"
            )


def check_logger(name: LoggerName | None) -> None:
    """Checks that the package of a program is installed.

    Raises:
        UsageError: it is not.
    """
    if name is not None:
        require_package(_PACKAGES[name], f"--log {name}", name)


def _tensorboard(root: Path, config: TrainConfig, start: int) -> Logger:
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(root / "tensorboard"), purge_step=start + 1)  # hides the steps that are taken again

    def log(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return Logger(log, writer.close)


def _wandb(root: Path, config: TrainConfig, start: int) -> Logger:
    import wandb

    directory = root / "wandb"
    directory.mkdir(exist_ok=True)
    id_file = directory / "id.txt"
    if not id_file.exists():
        id_file.write_text(uuid.uuid4().hex)
    run = wandb.init(
        project=_PROJECT, name=root.name, dir=root, id=id_file.read_text(), resume="allow", config=asdict(config)
    )
    return Logger(lambda step, values: run.log(values, step=step), run.finish)


def _trackio(root: Path, config: TrainConfig, start: int) -> Logger:
    import trackio

    run = trackio.init(project=_PROJECT, name=root.name, resume="allow", config=asdict(config), embed=False)
    return Logger(lambda step, values: run.log(values, step=step), run.finish)


_PACKAGES: dict[LoggerName, str] = {"tensorboard": "tensorboardX", "wandb": "wandb", "trackio": "trackio"}
_OPEN: dict[LoggerName, Callable[[Path, TrainConfig, int], Logger]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "trackio": _trackio,
}
