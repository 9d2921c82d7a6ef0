"""Compiles the training step of each layout for a topology."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import jax
from jax.experimental.compilation_cache import compilation_cache

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.devices import LayoutName, requested_devices
from alexnet_jax.errors import UsageError, first_line
from alexnet_jax.plan.estimate import LayoutPlan, plan_layout, read_step, without_estimate
from alexnet_jax.plan.topology import Topology, devices_of
from alexnet_jax.runtime import usable_cores
from alexnet_jax.training.layouts import LAYOUTS

_NEEDED = re.compile(r"(?:Used |HLO temporaries \()([\d.]+)([KMG])")
_CACHE = "jax_enable_compilation_cache"
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def plan_layouts(
    topology: Topology,
    config: TrainConfig,
    layouts: Sequence[LayoutName],
    tell: Callable[[LayoutPlan, float], None] = lambda plan, seconds: None,
) -> list[LayoutPlan]:
    """Compiles the training step of each layout, as many at a time as there are cores, and estimates its cost.

    Args:
        topology: the chips.
        config: the run.
        layouts: names of layouts.
        tell: called with each plan as it is made, and the seconds that it took.

    Returns:
        The plans, in the order of ``layouts``.

    Raises:
        UsageError: the compiler is not installed.
    """
    devices = devices_of(topology)
    found = {}
    pool = ThreadPoolExecutor(max_workers=min(len(layouts), usable_cores()))
    with _no_compile_cache():
        try:
            futures = [pool.submit(_timed_plan, name, topology, config, devices) for name in layouts]
            for future in as_completed(futures):
                plan, seconds = future.result()
                found[plan.layout] = plan
                tell(plan, seconds)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for the compiler
    return [found[name] for name in layouts]


def compile_step(layout: LayoutName, config: TrainConfig, devices: Sequence[jax.Device]) -> jax.stages.Compiled:
    """The training step of a layout, compiled for devices that need not be attached.

    Args:
        layout: its name.
        config: the run.
        devices: those that it uses.

    Raises:
        UsageError: the layout cannot use these devices for the run.
    """
    placed = LAYOUTS[layout](config, devices)
    placed.check_training()
    return placed.lower_train_step().compile()


def _timed_plan(
    layout: LayoutName, topology: Topology, config: TrainConfig, devices: Sequence[jax.Device]
) -> tuple[LayoutPlan, float]:
    start = time.monotonic()
    used = devices[: requested_devices(layout, None, None) or len(devices)]
    return _plan(layout, topology, config, used), time.monotonic() - start


def _plan(layout: LayoutName, topology: Topology, config: TrainConfig, devices: Sequence[jax.Device]) -> LayoutPlan:
    chips = len(devices)
    try:
        step = read_step(compile_step(layout, config, devices), chips)
    except UsageError as error:
        return without_estimate(layout, topology, chips, str(error))
    except jax.errors.JaxRuntimeError as error:
        return without_estimate(layout, topology, chips, first_line(error), _needed_bytes(error))
    return plan_layout(layout, step, topology, config, chips, len({device.process_index for device in devices}))


def _needed_bytes(error: Exception) -> int | None:
    """The bytes of a step that does not fit into memory, as libtpu reports them."""
    found = _NEEDED.search(str(error))
    return None if found is None else int(float(found[1]) * _UNITS[found[2]])


@contextlib.contextmanager
def _no_compile_cache() -> Iterator[None]:
    """JAX's cache stores programs for chips that are not attached, but cannot load them."""
    before = getattr(jax.config, _CACHE)
    _enable_compile_cache(False)
    try:
        yield
    finally:
        _enable_compile_cache(before)


def _enable_compile_cache(is_enabled: bool) -> None:
    jax.config.update(_CACHE, is_enabled)
    compilation_cache.reset_cache()  # JAX reads the setting only once
