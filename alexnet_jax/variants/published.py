"""Published accuracies of AlexNets, with their sources.

The presets' docstrings name the same numbers, some as errors; ``tests/test_published.py`` compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_LAYER_FILES = "computerhistory/AlexNet-Source-Code, layers/layer-params-"


@dataclass(frozen=True)
class Published:
    """The accuracy of one set of trained weights, in percent."""

    variant: str | None
    """The named net, or None for a program whose net is not one of them."""
    weights: str
    """What was trained."""
    top1: float
    top5: float | None
    views: Literal["one crop", "ten crops", "several views"]
    source: str
    images: str = "ILSVRC-2012 validation"

    def __str__(self) -> str:
        top5 = "" if self.top5 is None else f" / {self.top5:g}%"
        return f"{self.top1:g}%{top5} ({self.views}, {self.images}): {self.weights}"


def _layer_file(variant: str, number: str, top1: float, top5: float, note: str = "") -> Published:
    return Published(
        variant, f"the authors' layer file {number}{note}", top1, top5, "ten crops", f"{_LAYER_FILES}{number}.cfg"
    )


PUBLISHED = (
    _layer_file("original", "145", 59.34, 81.79),
    Published("original", "layer file 145", 62.53, 83.00, "ten crops", f"{_LAYER_FILES}145.cfg", "ILSVRC-2010 test"),
    Published("original", "layer file 145", 60.98, 81.70, "one crop", f"{_LAYER_FILES}145.cfg", "ILSVRC-2010 test"),
    Published(
        "one_gpu", "layer file 145-half", 60.83, 81.77, "ten crops", f"{_LAYER_FILES}145-half.cfg", "ILSVRC-2010 test"
    ),
    _layer_file("layer_file_146", "146", 60.90, 83.12, ", pre-trained on ImageNet 2009"),
    _layer_file("layer_file_147", "147", 58.94, 81.49),
    _layer_file("layer_file_148", "148", 57.97, 80.64),
    _layer_file("layer_file_150", "150", 58.17, 80.67),
    _layer_file("layer_file_167", "167", 59.51, 81.88),
    Published("one_weird_trick", "cuda-convnet2", 57.45, 80.19, "one crop", "akrizhevsky/cuda-convnet2"),
    Published("one_weird_trick", "cuda-convnet2", 59.58, 81.85, "ten crops", "akrizhevsky/cuda-convnet2"),
    Published("caffe_alexnet", "bvlc_alexnet, step 360,000", 57.1, 80.2, "one crop", "BVLC/caffe, models/bvlc_alexnet"),
    Published(
        "caffe_alexnet",
        "NVIDIA's log of bvlc_alexnet, batches of 1,024",
        58.6,
        81.3,
        "one crop",
        "borisgin/nvcaffe-0.16, models/bvlc_alexnet/logs/alexnet_fp32.log",
    ),
    Published(
        "caffenet", "bvlc_reference_caffenet", 57.4, 80.4, "one crop", "BVLC/caffe, models/bvlc_reference_caffenet"
    ),
    Published(
        "torchvision",
        "alexnet-owt-7be5be79.pth",
        56.522,
        79.066,
        "one crop",
        "pytorch/vision, torchvision/models/alexnet.py",
    ),
    Published("cifar10_13pct", "cuda-convnet", 87.0, None, "several views", "cuda-convnet", "CIFAR-10 test"),
    Published("cifar10_11pct", "cuda-convnet", 89.0, None, "several views", "cuda-convnet", "CIFAR-10 test"),
    Published("cifar10_18pct", "cuda-convnet", 82.0, None, "one crop", "cuda-convnet", "CIFAR-10 test"),
    Published(None, "theano_alexnet", 57.4, 80.1, "one crop", "uoguelph-mlrg/theano_alexnet"),
    Published(None, "neon, without groups", 58.6, 81.1, "one crop", "NervanaSystems/ModelZoo"),
    Published(
        None, "AlexNet with batch normalisation", 60.43, 82.47, "one crop", "a reproduction whose address is not known"
    ),
    Published(None, "OneFlow", 54.8, 78.2, "one crop", "Oneflow-Inc/OneFlow-Benchmark"),
    Published(None, "TensorFlow's benchmarks", 54.6, 78.3, "one crop", "tensorflow/benchmarks"),
    Published(None, "Kempner Institute", 53.9, 77.0, "one crop", "Kempner Institute"),
)


def published_for(variant: str | None) -> tuple[Published, ...]:
    """The published accuracies of a named net, or for None those of other programs' AlexNets."""
    return tuple(row for row in PUBLISHED if row.variant == variant)
