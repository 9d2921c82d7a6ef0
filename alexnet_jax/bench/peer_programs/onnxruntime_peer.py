"""The net in ONNX Runtime, for ``alexnet bench --against onnxruntime``. It has no training step.

    python onnxruntime_peer.py DIRECTORY

The directory has the net as ``net.onnx``. Tested with onnxruntime 1.32.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime

from alexnet_jax.bench.peer_programs.serve import read_task, serve


class Form:
    """The session of the net, with its images as NCHW, which ONNX prescribes."""

    def __init__(self, net: bytes, images: np.ndarray) -> None:
        self.session = onnxruntime.InferenceSession(net, providers=["CPUExecutionProvider"])
        self.images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    def logits(self) -> np.ndarray:
        (logits,) = self.session.run(["logits"], {"crops": self.images})
        return logits

    def forward(self) -> None:
        self.logits()


def main() -> None:
    directory = Path(sys.argv[1])
    form = Form((directory / "net.onnx").read_bytes(), read_task(sys.argv[1])[1]["images"])
    serve(f"ONNX Runtime {onnxruntime.__version__}", {"": form}, ["forward"])


if __name__ == "__main__":
    main()
