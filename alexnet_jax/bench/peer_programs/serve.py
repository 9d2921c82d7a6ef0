"""How a peer of ``alexnet bench --against`` gets its task and answers, one line of JSON for each request.

A request is ``{"form": NAME, "work": "logits" | "forward" | "gradient" | "train"}``; the answer holds ``logits``, or
the ``seconds`` that the work took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.serialize import config_from_json


class Form(Protocol):
    """One way to run the net; every method returns when its results are there."""

    def logits(self) -> np.ndarray: ...

    def forward(self) -> None: ...

    def gradient(self) -> None: ...

    def train(self) -> None: ...


def read_task(folder: str) -> tuple[TrainConfig, dict[str, np.ndarray]]:
    """The config, and ``images``, ``labels``, ``ours/LAYER/KIND`` and ``channels_first/LAYER/KIND``."""
    with np.load(Path(folder) / "arrays.npz") as arrays:
        return config_from_json((Path(folder) / "config.json").read_text()), dict(arrays)


def layers(arrays: dict[str, np.ndarray], layout: str) -> dict[str, dict[str, np.ndarray]]:
    """The weights in one of the two layouts."""
    tree: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        if name.startswith(f"{layout}/"):
            _, layer, kind = name.split("/")
            tree.setdefault(layer, {})[kind] = array
    return tree


def serve(about: str, forms: dict[str, Form]) -> None:
    """Answers until there are no more requests."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not come between the answers
    print(json.dumps({"about": about, "forms": list(forms)}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(answer(forms[request["form"]], request["work"])), file=answers, flush=True)


def answer(form: Form, work: str) -> dict[str, Any]:
    if work == "logits":
        return {"logits": form.logits().tolist()}
    began = time.perf_counter()
    getattr(form, work)()
    return {"seconds": time.perf_counter() - began}
