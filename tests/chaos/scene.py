"""The run that is disturbed: its images, its config, its command, and what it gives undisturbed."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import grain
import numpy as np
from PIL import Image

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.chaos.processes import Process

BATCH, EPOCHS, SEED = 4, 5, 3
TRAIN, TEST = 160, 24
STEPS = TRAIN // BATCH * EPOCHS
_CONFIG = {
    "model": {
        "convs": [
            {
                "features": 8,
                "kernel_size": 5,
                "padding": 2,
                "kernel_stddev": 0.1,
                "then": ["relu", "max_pool", "local_response_norm"],
            },
        ],
        "dense": [{"features": 16, "kernel_stddev": 0.1}],
        "image_size": 14,
    },
    "data": {"image_size": 16},
    "schedule": {"epochs": [3]},
    "batch_size": BATCH,
    "epochs": EPOCHS,
    "seed": SEED,
    "evaluate_every": 1,
    "checkpoint_every": 10,
    "log_every": 5,
}


@dataclass(frozen=True)
class Ending:
    """What a finished run leaves: the SHA-256 of its parameters, and its evaluations as step, split and loss.

    A stop divides a row of training metrics in two, so those rows may differ.
    """

    digest: str
    evaluations: tuple[tuple[int, str, float], ...]


class Scene:
    """A place with images, in which runs are made.

    Args:
        root: an empty directory.
        devices: the number of devices of the runs.
        photos: the folder of images of another scene. It is copied.

    Attributes:
        note: what was done to the run, in words.
        expected: the ending of the run, if it is not that of the undisturbed one.
    """

    def __init__(self, root: Path, devices: int, photos: Path | None = None) -> None:
        self.root = root
        self.photos = root / "photos"
        self.workdir = root / "run"
        self.devices = devices
        self._numbers = itertools.count()
        self.note = ""
        self.expected: Ending | None = None
        root.mkdir(parents=True, exist_ok=True)
        if photos is None:
            write_photos(self.photos)
        else:
            shutil.copytree(photos, self.photos)
        self.config = root / "chaos.json"
        data = _CONFIG["data"] | {"dataset": str(self.photos)}
        self.config.write_text(json.dumps(_CONFIG | {"data": data}))

    def train(self, workdir: Path | None = None, stdout: int | None = None) -> Process:
        """Starts or resumes the run."""
        arguments = ["train", "--config", self.config, "--workdir", workdir or self.workdir, "--devices", self.devices]
        return self.start(arguments, stdout)

    def start(self, arguments: list[object], stdout: int | None = None) -> Process:
        """Starts a command."""
        return Process(arguments, self.root / f"{next(self._numbers)}.log", stdout)

    def ending(self, done: Process, workdir: Path | None = None) -> Ending | None:
        """What a run left that ended with ``done``; None if it did not finish."""
        printed = re.search(r"^parameters SHA-256 ([0-9a-f]{64})$", done.stdout, re.MULTILINE)
        if done.returncode != 0 or printed is None:
            return None
        rows = RunDirectory(workdir or self.workdir).read_metrics()
        trained = [row["step"] for row in rows if row["split"] == "train"]
        if trained != sorted(set(trained)):
            raise AssertionError(f"rows of metrics are not in order: {trained}")
        evaluations = ((row["step"], row["split"], row["loss"]) for row in rows if row["split"] != "train")
        return Ending(printed[1], tuple(evaluations))

    @property
    def step(self) -> int:
        """The step of the last row of metrics, or 0."""
        return self.step_of(self.workdir)

    def step_of(self, workdir: Path) -> int:
        """As ``step``, in another run directory."""
        try:
            lines = [line for line in (workdir / "metrics.jsonl").read_bytes().splitlines() if line.endswith(b"}")]
            return json.loads(lines[-1])["step"] if lines else 0
        except (OSError, ValueError):
            return 0

    @property
    def saved_steps(self) -> list[int]:
        """The steps with a checkpoint."""
        return self.saved_steps_of(self.workdir)

    def saved_steps_of(self, workdir: Path) -> list[int]:
        """As ``saved_steps``, in another run directory."""
        entries = (workdir / "checkpoints").glob("[0-9]*")
        return sorted(int(entry.name) for entry in entries if entry.name.isdigit())

    def images_from(self, step: int) -> list[Path]:
        """The training images that the first epoch uses after ``step`` steps, in order."""
        source = open_dataset(DataConfig(dataset=str(self.photos), image_size=16), 3).train
        order = grain.MapDataset.range(len(source)).seed(SEED).shuffle()
        return [self.photos / "train" / source.name(int(order[index])) for index in range(step * BATCH, TRAIN)]


def write_photos(root: Path) -> None:
    """A folder of small PNG and JPEG files of two classes, which differ in brightness."""
    rng = np.random.default_rng(5)
    for split, count in (("train", TRAIN), ("test", TEST)):
        for label, kind in enumerate(("dark", "light")):
            (root / split / kind).mkdir(parents=True)
            for index in range(count // 2):
                pixels = rng.integers(0, 150, (16, 16, 3), dtype=np.uint8) + np.uint8(60 * label)
                Image.fromarray(pixels).save(root / split / kind / f"{index:03}.{'png' if index % 2 else 'jpg'}")
