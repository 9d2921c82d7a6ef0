"""The options of ``alexnet train``. ``train_help.py`` has those that the short help shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.devices import LayoutName
from alexnet_jax.training.loggers import LoggerName


@dataclass(frozen=True)
class TrainArguments:
    """Train a net, or resume the run in a run directory."""

    recipe: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str | None = None
    """The run to start from. Other options change it. Default: quickstart, photos for a folder of photos, or finetune
    for --init with convolutions alone."""
    variant: str | None = None
    """Another net for the run."""
    config: Path | None = None
    """A JSON file with the fields to change, or the config.json of a run."""
    workdir: Path | None = None
    """The run directory. An existing run resumes. Default: runs/NAME, the name of the preset, config or variant."""
    overwrite: bool = False
    """Delete the run in the run directory and start afresh."""
    layout: LayoutName = "auto"
    """How the run is divided over the devices. single: one device. towers: half of every layer on each of two devices
    (paper, section 3.5). data: a whole net and part of the images on each. mesh: several pairs of towers. hybrid: as
    data, with the dense layers split over all devices (arXiv 1404.5997). auto: the fastest in --plan. Without a plan:
    single on one device, towers on two if the net has two, else data, or hybrid if the net does not fit."""
    plan: Path | None = None
    """A file that `alexnet plan --json` wrote for this run and these devices."""
    devices: int | None = None
    """The number of devices. Default: one per tower on a CPU, or two under a named layout of several devices; otherwise
    all, or as many as the layout can use."""
    data_parallel: int | None = None
    """The number of parts that each batch is divided into. Default: as many as the devices allow."""
    distributed: bool = False
    """Train with several processes, which SLURM, Open MPI, Kubernetes or a TPU slice has started."""
    coordinator: str | None = None
    """HOST:PORT at which process 0 of several waits for the others, if it is not detected."""
    processes: int | None = None
    """The number of processes, if it is not detected."""
    process_id: int | None = None
    """The number of this process, from 0, if it is not detected."""
    cluster: Literal["auto", "none"] = "auto"
    """Whether to detect what these options leave out. none: detect nothing; all three are required."""
    step_timeout: float | None = None
    """The most seconds that a part of a step, such as reading images, may take before all processes end. It applies
    once that part has been measured three times. Default: ten times the longest time so far, and at least 30."""
    profile: Path | None = None
    """A directory for a profiler trace of a few steps, for Perfetto or XProf."""
    seeds: int | None = None
    """Train this many nets, one after another, with seeds from --seed on (`alexnet sweep --help`)."""
    log: LoggerName | None = None
    """Also log the metrics with TensorBoard (in the run directory), Weights & Biases or Trackio."""
    quiet: bool = False
    """Print only errors and the final line."""
