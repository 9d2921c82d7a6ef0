"""``alexnet plan``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from rich.console import Console

from alexnet_jax.commands.json_output import JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.config import Dtype, TrainConfig
from alexnet_jax.config.checks import check_positive
from alexnet_jax.config.devices import NamedLayout
from alexnet_jax.console.progress import say
from alexnet_jax.presets import preset, stored_size
from alexnet_jax.variants import variant


@dataclass(frozen=True)
class PlanArguments:
    """Estimate what training on TPUs costs, for each layout. No TPU is needed.

    Compiles the training step for the chips with Google's compiler (the extra tpu), which takes minutes for each
    layout. Every figure is an estimate: nothing runs on a TPU.
    """

    topology: str
    """The chips: v5e, v5p or v6e, and their grid, such as v5e:1x1, v5e:4x4 or v5p:2x2x4. Up to 256 chips."""
    preset: str = "imagenet_paper"
    """The run. Large-batch presets such as imagenet_large_batch_32k suit many chips."""
    variant: str | None = None
    """Another net for the run."""
    batch_size: int | None = None
    """Images in a step, over all chips. Default: that of the preset."""
    micro_batches: int | None = None
    """Parts of a batch whose gradients are computed one after another. Default: that of the preset."""
    dtype: Dtype | None = None
    """The type of activations and products. Default: that of the preset."""
    layouts: tuple[NamedLayout, ...] = ()
    """The layouts to compile, as in --layout of `alexnet train`. Default: all of them."""
    json: JsonPath = None
    """Also write the estimates to a JSON file; - prints the JSON instead of the table."""


def main(arguments: list[str]) -> int:
    """Compiles the steps, and prints a row for each layout and the fastest one."""
    parsed = parse(PlanArguments, arguments, "plan")
    config = _config(parsed)
    check_json_path(parsed.json)
    import jax

    from alexnet_jax.plan.compiler import plan_layouts
    from alexnet_jax.plan.report import (
        collectives_table,
        describe_compilation,
        describe_plans,
        plan_for_json,
        runs_table,
        steps_table,
    )
    from alexnet_jax.plan.topology import parse_topology, require_compiler

    topology = parse_topology(parsed.topology)
    require_compiler()
    jax.config.update("jax_platforms", "cpu")  # libtpu would look for chips
    layouts = tuple(dict.fromkeys(parsed.layouts)) or get_args(NamedLayout)
    progress = Console(stderr=True)
    say(progress, f"compiling {', '.join(layouts)} for {topology.name}, which takes minutes for each")
    plans = plan_layouts(topology, config, layouts, lambda *made: say(progress, describe_compilation(*made)))
    if write_json(plan_for_json(plans, topology, config), parsed.json):
        console = Console()
        for table in (steps_table(plans), runs_table(plans), collectives_table(plans)):
            if table.rows:
                console.print(table)
                console.print()
        say(console, describe_plans(plans, topology, config))
    return 0


def _config(parsed: PlanArguments) -> TrainConfig:
    """The run that the options choose. Raises UsageError."""
    check_positive(parsed, "batch_size", "micro_batches", section="--")
    config = preset(parsed.preset)
    if parsed.variant is not None:
        model = variant(parsed.variant)
        stored = max(config.data.image_size, stored_size(model))
        config = replace(config, model=model, data=replace(config.data, image_size=stored))
    names = ("batch_size", "micro_batches", "dtype")
    return replace(config, **{name: getattr(parsed, name) for name in names if getattr(parsed, name) is not None})
