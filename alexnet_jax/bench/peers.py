"""Other programs that time the same net on the same weights and images, each in a process with its own threads."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from alexnet_jax import runtime
from alexnet_jax.bench.net import OwnNet
from alexnet_jax.bench.timing import Contender
from alexnet_jax.config import Dtype
from alexnet_jax.config.checks import check
from alexnet_jax.config.serialize import config_to_json
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.weights.channels_first import to_channels_first

PEERS = {"torch": "PyTorch", "flax": "plain Flax", "float32": "alexnet_jax in float32"}
"""What can be compared with, and what a table calls it."""
SAME: dict[Dtype, float] = {"float32": 1e-4, "bfloat16": 3e-2}
"""Largest difference of logits from ours, as a share of the largest, up to which a peer computes the same."""

_PROGRAMS = Path(__file__).parent / "peer_programs"


def check_peer(name: str, dtype: Dtype) -> None:
    """Raises UsageError where the peer's program or its package is not here, or could use another processor.

    ``float32`` is our own net and needs neither, only another ``dtype`` to be compared with.
    """
    if name == "float32":
        check(dtype != name, "--against", name, "this is what is timed already; use --dtype bfloat16 with it")
        return
    if not (_PROGRAMS / f"{name}_peer.py").exists():
        raise UsageError(f"--against is {name}: the programs to compare with come with a clone of the project only")
    if importlib.util.find_spec(name) is None:
        raise UsageError(
            f"--against is {name}: the package {name} is missing; "
            f"`uv run --with {name} alexnet bench --against {name}` brings it"
        )
    if jax.default_backend() != "cpu":
        raise UsageError(f"--against is {name}: comparisons are for CPUs, and JAX runs on {jax.default_backend()} here")


@contextlib.contextmanager
def running_peer(name: str, net: OwnNet) -> Iterator[Peer]:
    """The peer ``name`` at work in a process of its own on what ``net`` has, until the ``with`` ends.

    Raises AlexNetError where it does not start.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _write_task(folder, net)
        said = folder / "errors"
        with said.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, _PROGRAMS / f"{name}_peer.py", folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=runtime.untuned(os.environ)
                | {"JAX_TRACEBACK_FILTERING": "off"},  # its last line is what went wrong
            )
        try:
            yield Peer(name, net.config.dtype, process, said)
        finally:
            process.kill()
            process.communicate()


class Peer:
    """The other end of a ``process`` that answers requests, a line of JSON each, and writes errors to ``said``."""

    def __init__(self, name: str, dtype: Dtype, process: subprocess.Popen[str], said: Path) -> None:
        self.name = name
        self._same = SAME[dtype]
        self._process = process
        self._said = said
        hello = self._answer()
        self.about: str = hello["about"]
        """Versions and threads."""
        self.forms: list[str] = hello["forms"]
        """The ways in which it runs the net."""

    def check_same(self, logits: np.ndarray) -> None:
        """Raises AlexNetError where a form gives others than our ``logits``."""
        for form in self.forms:
            theirs = np.array(self._ask(form, "logits")["logits"])
            difference = float(np.abs(theirs - logits).max() / np.abs(logits).max())
            if not difference <= self._same:
                raise AlexNetError(
                    f"{PEERS[self.name]} ({form}): its logits differ from ours by {difference:.1e} of the largest; "
                    f"above {self._same:.0e} it is another net, and its times say nothing"
                )

    def contender(self, form: str, work: str) -> Contender:
        """What runs ``work`` in one of ``forms``."""
        return lambda: self._ask(form, work)["seconds"]

    def _ask(self, form: str, work: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # where it has ended, no answer will come either
            self._process.stdin.write(json.dumps({"form": form, "work": work}) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._said.read_text().strip().splitlines() or ["it said nothing"]
            raise AlexNetError(f"{PEERS[self.name]} ended before its time: {said[-1][:300]}")
        return json.loads(line)


def _write_task(folder: Path, net: OwnNet) -> None:
    """What a peer reads: the config, the weights in both layouts' terms, images as floats, labels."""
    (folder / "config.json").write_text(config_to_json(net.config))
    arrays = {"images": net.crops, "labels": net.batch["label"]}
    trees = {"ours": net.params, "channels_first": to_channels_first(net.params, net.config.model, is_bgr=False)}
    for layout, layers in trees.items():
        arrays |= {f"{layout}/{name}/{kind}": array for name, layer in layers.items() for kind, array in layer.items()}
    np.savez(folder / "arrays.npz", allow_pickle=False, **{name: np.asarray(array) for name, array in arrays.items()})
