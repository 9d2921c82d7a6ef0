"""Other programs that run the same net on the same weights and images, each in a separate process."""

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
from alexnet_jax.config import ConvConfig, DenseConfig, Dtype, ModelConfig
from alexnet_jax.config.checks import check
from alexnet_jax.config.serialize import config_to_json
from alexnet_jax.errors import AlexNetError, UsageError, exception_line
from alexnet_jax.hints import command_with_packages
from alexnet_jax.weights.channels_first import to_channels_first

PEERS = {
    "torch": "PyTorch",
    "flax": "plain Flax",
    "onnxruntime": "ONNX Runtime",
    "float32": "alexnet_jax in float32",
}
"""The peers, and their names in the table."""
LOGITS_TOLERANCE: dict[Dtype, float] = {"float32": 1e-4, "bfloat16": 3e-2}
"""Largest difference of a peer's logits from ours, as a fraction of the largest logit."""

_PACKAGES = {"onnxruntime": ("onnx", "onnxruntime")}
"""What a peer needs, if it is not one package of the same name."""
_PROGRAMS = Path(__file__).parent / "peer_programs"


def check_peer(name: str, dtype: Dtype, devices: int = 1) -> None:
    """Checks that a peer can run here.

    Args:
        name: a key of ``PEERS``.
        dtype: the type that this project's net is timed in.
        devices: the number of devices. On several, only the training step is timed.

    Raises:
        UsageError: its package is not installed, JAX does not run on a CPU, or the peer is the timed net itself.
    """
    if name == "float32":
        check(dtype != name, "--against", name, "this is already timed, use it with --dtype bfloat16")
        return
    for package in _PACKAGES.get(name, (name,)):
        if importlib.util.find_spec(package) is None:
            remedy = command_with_packages(_PACKAGES.get(name, (name,)), "bench", "--against", name)
            raise UsageError(f"--against is {name}: the package {package} is not installed; use `{remedy}`")
    if name == "onnxruntime":
        check(dtype == "float32", "--against", name, "it computes in float32 only, use --dtype float32")
        check(devices == 1, "--against", name, "it has no training step, use --devices 1")
    if jax.default_backend() != "cpu":
        raise UsageError(f"--against is {name}: peers run on CPUs only, and JAX runs on {jax.default_backend()} here")


def _check_layers(name: str, model: ModelConfig) -> None:
    if name in ("float32", "onnxruntime"):
        return
    remedy = f"the {PEERS[name]} peer has no such layer, use another net or no --against"
    for layer in model.layers():
        if isinstance(layer.config, ConvConfig) and not layer.config.shared_kernel:
            raise UsageError(f"{layer.name} is locally connected: {remedy}")
        if isinstance(layer.config, DenseConfig) and layer.config.groups > 1:
            raise UsageError(f"{layer.name} has groups: {remedy}")
        if layer.operation == "average_pool":
            raise UsageError(f"{layer.name} is average pooling: {remedy}")
        if layer.operation == "batch_norm":
            raise UsageError(f"{layer.name} is batch normalisation: {remedy}")


@contextlib.contextmanager
def running_peer(name: str, net: OwnNet) -> Iterator[Peer]:
    """Starts a peer on the weights and images of ``net``, and stops it at the end of the ``with`` block.

    Raises:
        AlexNetError: it does not start.
        UsageError: it does not have a layer of the net.
    """
    _check_layers(name, net.config.model)
    with tempfile.TemporaryDirectory() as temporary:
        _write_task(Path(temporary), net)
        if name == "onnxruntime":
            _write_onnx(Path(temporary), net)
        with running_program(name, f"{name}_peer.py", net.config.dtype, Path(temporary)) as peer:
            yield peer


@contextlib.contextmanager
def running_program(name: str, program: str, dtype: Dtype, directory: Path) -> Iterator[Peer]:
    """Starts a program of ``peer_programs``, and stops it at the end of the ``with`` block.

    Args:
        name: the peer that it belongs to, a key of ``PEERS``.
        program: its file.
        dtype: the type that it computes in.
        directory: what it reads is there.

    Raises:
        AlexNetError: it does not start.
    """
    error_file = directory / "errors"
    with error_file.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, _PROGRAMS / program, directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=runtime.untuned(os.environ) | {"JAX_TRACEBACK_FILTERING": "off"},  # so that the last line is the error
        )
    try:
        yield Peer(name, dtype, process, error_file)
    finally:
        process.kill()
        process.communicate()


class Peer:
    """A running peer, which answers each request, a line of JSON, with a line of JSON.

    Attributes:
        name: its key in ``PEERS``.
        about: its versions and threads.
        forms: the forms in which it runs the net.
        works: what they can do, some of ``net.WORKS``.
    """

    def __init__(self, name: str, dtype: Dtype, process: subprocess.Popen[str], error_file: Path) -> None:
        self.name = name
        self._tolerance = LOGITS_TOLERANCE[dtype]
        self._process = process
        self._error_file = error_file
        greeting = self._answer()
        self.about: str = greeting["about"]
        self.forms: list[str] = greeting["forms"]
        self.works: list[str] = greeting["works"]

    def check_logits(self, logits: np.ndarray) -> None:
        """Compares the logits of every form with ``logits``.

        Raises:
            AlexNetError: they differ.
        """
        for form in self.forms:
            theirs = np.array(self._ask(form, "logits")["logits"])
            difference = float(np.abs(theirs - logits).max() / np.abs(logits).max())
            if not difference <= self._tolerance:  # also true for NaN
                raise AlexNetError(
                    f"{PEERS[self.name]} ({form}): its logits differ from ours by {difference:.1e} of the largest, "
                    f"more than {self._tolerance:.0e}; it computes another net and cannot be compared"
                )

    def contender(self, form: str, work: str) -> Contender:
        """Runs ``work`` in one of ``forms``."""
        return lambda: self._ask(form, work)["seconds"]

    def _ask(self, form: str, work: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the missing answer is the error
            self._process.stdin.write(json.dumps({"form": form, "work": work}) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            written = self._error_file.read_text(encoding="utf-8", errors="replace")
            raise AlexNetError(f"{PEERS[self.name]} ended early: {exception_line(written, 'no error message')[:300]}")
        return json.loads(line)


def _write_onnx(directory: Path, net: OwnNet) -> None:
    from alexnet_jax.export.onnx_graph import onnx_net

    model = onnx_net(net.config.model, jax.device_get(net.params), jax.device_get(net.batch_stats))
    (directory / "net.onnx").write_bytes(model.SerializeToString())


def _write_task(directory: Path, net: OwnNet) -> None:
    """Writes what a peer reads: the config, the weights in both memory formats, float images and labels."""
    (directory / "config.json").write_text(config_to_json(net.config), encoding="utf-8")
    arrays = {"images": net.crops, "labels": net.batch["label"]}
    weights = {
        "channels_last": net.params,
        "channels_first": to_channels_first(net.params, net.config.model, is_bgr=False),
    }
    for memory_format, layers in weights.items():
        for name, layer in layers.items():
            arrays |= {f"{memory_format}/{name}/{kind}": array for kind, array in layer.items()}
    np.savez(
        directory / "arrays.npz", allow_pickle=False, **{name: np.asarray(array) for name, array in arrays.items()}
    )
