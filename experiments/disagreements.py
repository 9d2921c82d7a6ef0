"""Where the sources of AlexNet disagree: the differing fields of the configs, and the nets that use each value.

    uv run python experiments/disagreements.py

writes experiments/results/disagreements.md. A test checks that the page matches the configs.
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

PAGE = Path(__file__).parent / "results" / "disagreements.md"

HEAD = """# Where the sources disagree

Generated from the configs by `uv run python experiments/disagreements.py`. Each heading is a field of the config and
so a flag of `alexnet train`. The table shows which net or recipe has which value. Fields with the same value everywhere
are left out. For fields of a layer, the values are those of all layers in order, and the flag contains the layer's
index, from 0: `--model.convs.0.padding 2`. The docstrings of `alexnet_jax/variants.py` and `alexnet_jax/presets.py`
name the sources.
"""

# fields of the data, the length of a run and its logging, which are not part of the recipe
LEFT_OUT = {"data", "epochs", "evaluate_every", "checkpoint_every", "log_every", "seed", "init", "model"}
# nets for other images, or of this project
OTHER_NETS = {"small", "cifar10_plain", "cifar10_norm", "cifar10_tanh"}


def field_texts(kind: type) -> dict[str, str]:
    """The docstring of each field."""
    body = ast.parse(inspect.getsource(kind)).body[0].body
    texts = {}
    for entry, after in pairwise(body):
        if isinstance(entry, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            texts[entry.target.id] = " ".join(str(after.value.value).split())
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


def has_effect(name: str, fields: dict[str, Any]) -> bool:
    """Whether the field has an effect in this config."""
    for operation in ("local_response_norm", "spatial_response_norm"):
        if name.startswith(f"model.{operation}."):
            return any(operation in then for then in fields["model.convs.N.then"])
    if name.startswith("augment.pca_colour_noise_"):
        return fields["augment.pca_colour_noise"] > 0
    if name.endswith(".bias"):
        return fields[name.replace(".bias", ".kernel_stddev")][0] is not None
    return True


def dict_of(config: Any, prefix: str) -> dict[str, Any]:
    return {name: value for name, _, value in flat(config, prefix)}


def page() -> str:
    nets = {name: make() for name, make in VARIANTS.items() if name not in OTHER_NETS}
    recipes = {name: make() for name, make in PRESETS.items() if name.startswith("imagenet")}
    lines = [HEAD, "## The nets", *section(nets, "model.", set()), "\n## The recipes", *section(recipes, "", LEFT_OUT)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
