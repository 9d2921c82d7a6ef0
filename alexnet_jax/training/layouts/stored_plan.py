"""A plan of ``alexnet plan``, from which ``auto`` takes the fastest layout."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import AlexNetError, UsageError, first_line

_NAMES = {"TPU v5e": "TPU v5 lite", "TPU v5p": "TPU v5", "TPU v6e": "TPU v6 lite"}


@dataclass(frozen=True)
class StoredPlan:
    """What a plan says about a run on some devices.

    Attributes:
        file: the file of the plan.
        device_kind: JAX's name of the devices.
        devices: their number.
        date: when the plan was made.
        run: the run (``planned_run``).
        layout: the fastest layout that fits. None if none does.
        layout_devices: the number of devices that it uses.
        step_seconds: the estimated time of its step.
    """

    file: Path
    device_kind: str
    devices: int
    date: str
    run: dict[str, Any]
    layout: str | None
    layout_devices: int
    step_seconds: float

    def check(self, config: TrainConfig, device_kind: str, devices: int) -> None:
        """Checks that the plan is for a run on some devices.

        Raises:
            UsageError: it is for another run or other devices, or no layout fits.
        """
        remedy = "make a plan for this run, or leave out --plan"
        if (_one_name(self.device_kind), self.devices) != (_one_name(device_kind), devices):
            planned, used = f"{self.devices} x {self.device_kind}", f"{devices} x {device_kind}"
            raise UsageError(f"--plan is {self.file}: it is for {planned}, and the run has {used}; {remedy}")
        now = planned_run(config)
        differing = [name for name in now if self.run.get(name) != now[name]]
        if differing:
            raise UsageError(f"--plan is {self.file}: its run has another {' and '.join(differing)}; {remedy}")
        if self.layout is None:
            raise UsageError(f"--plan is {self.file}: no layout fits into the memory of the devices; {remedy}")

    def __str__(self) -> str:
        where = f"{self.devices} x {self.device_kind}"
        return (
            f"{self.layout}: the plan of {self.date} for {where} finds it fastest, with an estimate of "
            f"{1000 * self.step_seconds:.1f} ms a step"
        )


def _one_name(device_kind: str) -> str:
    """JAX has two names for some TPUs."""
    return _NAMES.get(device_kind, device_kind)


def planned_run(config: TrainConfig) -> dict[str, Any]:
    """The parts of a run on which the choice of a layout depends, as values for JSON.

    They leave out the number of classes, which the data of the run decide.
    """
    model = asdict(config.model)
    del model["classes"]
    names = ("batch_size", "micro_batches", "dtype")
    run: dict[str, Any] = json.loads(json.dumps({"model": model} | {name: getattr(config, name) for name in names}))
    return run


def read_plan(file: Path) -> StoredPlan:
    """The plan that ``alexnet plan --json`` wrote.

    Raises:
        AlexNetError: the file cannot be read, or holds something else.
    """
    try:
        layouts = json.loads(file.read_text(encoding="utf-8"))
        planned_for = layouts[0]["planned_for"]
        fitting = [layout for layout in layouts if layout["fits"] and layout["images_per_second"] is not None]
        best: dict[str, Any] = max(fitting, key=lambda layout: layout["images_per_second"], default={})
        return StoredPlan(
            file,
            planned_for["device_kind"],
            planned_for["devices"],
            planned_for["date"],
            dict(planned_for["run"]),
            best.get("layout"),
            best.get("chips", 0),
            best.get("step_seconds", 0.0),
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        remedy = "use a file that `alexnet plan --json` wrote"
        raise AlexNetError(f"--plan is {file}: it cannot be read as a plan ({first_line(error)}); {remedy}") from error
