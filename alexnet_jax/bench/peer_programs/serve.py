"""The protocol of the peers of ``alexnet bench --against``: one line of JSON for each request, and one for its answer.

A request is ``{"form": NAME, "work": "logits" | "forward" | "gradient" | "train"}``. The answer has ``logits``, or the
``seconds`` that the work took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.serialize import config_from_json


class Form(Protocol):
    """A form in which a peer runs the net. Every method returns when its results are ready."""

    def logits(self) -> np.ndarray: ...

    def forward(self) -> None: ...

    def gradient(self) -> None: ...

    def train(self) -> None: ...


def read_task(directory: str) -> tuple[TrainConfig, dict[str, np.ndarray]]:
    """The config, and the arrays ``images``, ``labels`` and ``MEMORY_FORMAT/LAYER/KIND`` for both memory formats."""
    with np.load(Path(directory) / "arrays.npz") as arrays:
        return config_from_json((Path(directory) / "config.json").read_text(encoding="utf-8")), dict(arrays)


def layers(arrays: dict[str, np.ndarray], memory_format: str) -> dict[str, dict[str, np.ndarray]]:
    """The weights in one memory format, ``channels_last`` or ``channels_first``."""
    tree: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        if name.startswith(f"{memory_format}/"):
            _, layer, kind = name.split("/")
            tree.setdefault(layer, {})[kind] = array
    return tree


def serve(about: str, forms: Mapping[str, Any], works: Sequence[str] = ("forward", "gradient", "train")) -> None:
    """Answers requests from standard input until it ends.

    Args:
        about: the versions and threads of the program.
        forms: the forms in which it runs the net: ``Form``, or what has those of its methods that ``works`` names.
        works: what the forms can do.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that output of libraries does not mix with the answers
    print(json.dumps({"about": about, "forms": list(forms), "works": list(works)}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(answer(forms[request["form"]], request["work"])), file=answers, flush=True)


def answer(form: Form, work: str) -> dict[str, Any]:
    if work == "logits":
        return {"logits": form.logits().tolist()}
    start = time.perf_counter()
    getattr(form, work)()
    return {"seconds": time.perf_counter() - start}
