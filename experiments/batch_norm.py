"""NVIDIA's AlexNet: batch normalisation in place of local response normalisation lowers the error.

uv run python -m experiments.batch_norm
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import ConvConfig
from alexnet_jax.presets import preset
from experiments.kit.experiment import Arms, Experiment
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """The net with each normalisation. As in NVIDIA's net, every convolution but the last has batch normalisation."""
    if scale == "full":
        return {"local response": preset("imagenet_nvcaffe"), "batch": preset("imagenet_alexnet_bn")}
    base = baseline(scale)
    *others, last = base.model.convs
    convs = (*map(_with_batch_norm, others), last)
    return {"local response": base, "batch": replace(base, model=replace(base.model, convs=convs))}


def _with_batch_norm(conv: ConvConfig) -> ConvConfig:
    rest = tuple(operation for operation in conv.then if operation != "local_response_norm")
    return replace(conv, then=(*rest, "batch_norm"))


EXPERIMENT = Experiment(
    name="batch_norm",
    claim="Batch normalisation in place of local response normalisation lowers the error",
    source="NVIDIA's Caffe, models of AlexNet",
    printed="42.9% to 39.57% top-1, one crop",
    authors_log="none",
    arms=arms,
    rule=Rule(more="local response", less="batch", counts=0.01),
    scale_note=CPU_NOTE,
)

if __name__ == "__main__":
    main(EXPERIMENT)
