"""Where the sources of AlexNet disagree: the differing fields of the configs, and the nets that use each value.

    uv run python -m alexnet_jax.presets.disagreements

writes disagreements.md. A test checks that the page matches the configs.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.presets import PRESETS
from alexnet_jax.variants import VARIANTS

PAGE = Path(__file__).parent / "disagreements.md"

HEAD = """# Where the sources disagree

Generated from the configs by `uv run python -m alexnet_jax.presets.disagreements`. Each heading is a field of the
config and so a flag of `alexnet train`. The table shows which net or recipe has which value. Fields with the same value
everywhere are left out, and so are fields without an effect and those that only say how a run is logged and saved. For
fields of a layer, the values are those of all layers in order, and the flag contains the layer's index, from 0:
`--model.convs.0.padding 2`. The docstrings of `alexnet_jax/variants` and `alexnet_jax/presets` name the sources, and
`tests/sources` has the source of each value.
"""

REST = """
## What no field shows

Here the sources differ from each other or from this project, and the config has no choice:

- **Interpolation.** `prepare` and the reader of folders resize with Pillow's antialiased bicubic filter. cuda-convnet2
  used OpenCV's area interpolation, Caffe its bilinear one, torchvision Pillow's antialiased bilinear one.
- **Order of the images.** Each epoch has a new random order here, as in torchvision. cuda-convnet read its files, and
  the images in them, in the same order every epoch; Caffe shuffled once, when it made its database.
- **Offsets of the crops.** A 224-pixel crop of 256 pixels has 33 x 33 offsets, so 2,178 views with reflections. Section
  4.1 says 2,048, which is 32 x 32 offsets. The authors' code has 33.
- **Boxes of torchvision.** RandomResizedCrop takes them from the whole photo, this project from the stored square.
- **Folds of CIFAR-10.** The 11% and 13% runs first trained on batches 1 to 4, until the error on batch 5 stopped
  improving, and then on all five. Here the epoch of the change is fixed: `data.fold_in_epoch`.
- **Test views of CIFAR-10.** cuda-convnet averages ten crops, as `evaluate --views ten-crop`; cuda-convnet2 nine
  without reflections.
"""

# how a run is carried out and logged
LEFT_OUT = {"evaluate_every", "checkpoint_every", "log_every", "seed", "init", "model", "steps_per_dispatch"}
# nets of this project
OWN_NETS = {"small", "cifar10_conv_relu", "cifar10_conv_norm", "cifar10_conv_tanh"}
# runs of this project with a published net
OWN_RUNS = {"imagenet_modern"}


def field_texts(kind: type) -> dict[str, str]:
    """The docstring of each field."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for entry, after in pairwise(definition.body):
        if isinstance(entry, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            texts[ast.unparse(entry.target)] = " ".join(str(after.value.value).split())
    return texts


def flat(config: Any, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Name, docstring and value of each field. Fields of a tuple of layers are collected into one."""
    texts = field_texts(type(config))
    for entry in dataclasses.fields(config):
        name, value = prefix + entry.name, getattr(config, entry.name)
        if dataclasses.is_dataclass(value):
            yield from flat(value, f"{name}.")
        elif isinstance(value, tuple) and value and all(map(dataclasses.is_dataclass, value)):
            layers = [list(flat(layer)) for layer in value]
            for entries in zip(*layers, strict=True):
                yield f"{name}.N.{entries[0][0]}", entries[0][1], tuple(value for _, _, value in entries)
        else:
            yield name, texts.get(entry.name, ""), value


def shown(value: Any) -> str:
    """A value as it stands in the tables."""
    if isinstance(value, tuple):
        return (
            " · ".join(shown(part) if not isinstance(part, tuple) else " ".join(map(str, part)) for part in value)
            or "none"
        )
    return f"{value:g}" if isinstance(value, float) else str(value)


def section(configs: dict[str, ModelConfig] | dict[str, TrainConfig], prefix: str, left_out: set[str]) -> Iterator[str]:
    """A heading and a table for each field that differs between ``configs``."""
    fields = {name: dict_of(config, prefix) for name, config in configs.items()}
    first = next(iter(configs.values()))
    for name, text, _ in flat(first, prefix):
        values: dict[str, list[str]] = {}
        for source, found in fields.items():
            if has_effect(name, found):
                values.setdefault(shown(found[name]), []).append(source)
        if len(values) > 1 and name.split(".")[0] not in left_out:
            yield f"\n### `{name}`\n\n{text}\n\n| value | who |\n| --- | --- |"
            yield from (f"| {value} | {', '.join(who)} |" for value, who in values.items())


_RULES_OF = {
    "schedule.factor": ("steps", "plateau"),
    "schedule.epochs": ("steps",),
    "schedule.patience": ("plateau",),
    "schedule.max_drops": ("plateau",),
    "schedule.power": ("polynomial",),
    "schedule.decay_epochs": ("cosine", "polynomial"),
    "schedule.final_rate": ("cosine", "polynomial"),
}
"""The rules of the schedule that read a field."""


def has_effect(name: str, fields: dict[str, Any]) -> bool:
    """Whether the field has an effect in this config."""
    for operation in ("local_response_norm", "spatial_response_norm", "max_pool", "average_pool"):
        if name.startswith(f"model.{operation}."):
            return any(operation in then for then in fields["model.convs.N.then"])
    if name.startswith("model.dropout."):
        return fields.get("model.dense") != ()
    if name.startswith("augment.pca_colour_noise_"):
        return fields["augment.pca_colour_noise"] > 0
    if name.startswith("schedule.bias_"):
        return fields["schedule.biases"] == "steps"
    if name in _RULES_OF:
        return fields["schedule.rule"] in _RULES_OF[name]
    if name.startswith("schedule.warm_up"):
        return fields["schedule.warm_up_epochs"] > 0
    if name in ("augment.mean_crop", "augment.images_per_crop"):
        return fields["augment.mean" if "mean" in name else "augment.random_crop"] not in ("channel", "center")
    if name.endswith(".uniform"):
        return fields["model.convs.N.kernel_stddev"][0] is None
    if name == "model.convs.N.bias":
        return fields["model.convs.N.kernel_stddev"][0] is not None or fields["model.convs.N.uniform"][0] == "xavier"
    if name in ("model.dense.N.bias", "model.head_bias"):
        return fields["model.head_kernel_stddev"] is not None
    return True


def dict_of(config: Any, prefix: str) -> dict[str, Any]:
    """The value of each field, by name."""
    return {name: value for name, _, value in flat(config, prefix)}


def page() -> str:
    """The whole page."""
    nets = {name: make() for name, make in VARIANTS.items() if name not in OWN_NETS}
    recipes = {name: make() for name, make in PRESETS.items() if make().model in nets.values() and name not in OWN_RUNS}
    parts = [HEAD]
    for title, is_cifar10 in (("ImageNet", False), ("CIFAR-10", True)):
        some_nets = {name: net for name, net in nets.items() if name.startswith("cifar10") == is_cifar10}
        some_recipes = {name: run for name, run in recipes.items() if name.startswith("cifar10") == is_cifar10}
        parts += [f"## Nets for {title}", *section(some_nets, "model.", set())]
        parts += [f"\n## Recipes for {title}", *section(some_recipes, "", LEFT_OUT)]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n" + REST


if __name__ == "__main__":
    PAGE.write_text(page())
