"""Compiles the step of a tiny net on layouts of eight virtual devices, and prints what the devices exchange.

    python -m tests.plan.eight_devices LAYOUT/VARIANT/DEVICES[/PARTS] ...

This is a program, because the number of virtual devices of a process cannot change.
"""

from __future__ import annotations

import dataclasses
import json
import sys

import jax

from alexnet_jax import runtime
from alexnet_jax.plan.compiler import compile_step
from alexnet_jax.plan.program import Program
from tests.helpers.nets import tiny_config

BATCH_SIZE = 24
"""No dense layer has as many inputs or units, so that shapes tell activations from weights."""


def main(*names: str) -> None:
    for name in names:
        layout, variant, devices, *parts = name.split("/")
        config = dataclasses.replace(
            tiny_config(variant), batch_size=BATCH_SIZE, micro_batches=int(parts[0]) if parts else 1
        )
        compiled = compile_step(layout, config, jax.devices()[: int(devices)])
        found = Program(compiled.as_text(), int(devices)).collectives()
        print(json.dumps({"layout": name, "collectives": [dataclasses.asdict(each) for each in found]}), flush=True)


if __name__ == "__main__":
    runtime.tune_cpu()
    runtime.use_virtual_devices(8)
    jax.config.update("jax_platforms", "cpu")
    main(*sys.argv[1:])
