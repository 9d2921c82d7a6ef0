"""The layout of a run, by its name and the number of devices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import optax

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.devices import LayoutName, requested_devices
from alexnet_jax.errors import UsageError
from alexnet_jax.training.layouts.data_parallel import DataParallel, OneDevice
from alexnet_jax.training.layouts.hybrid import Hybrid
from alexnet_jax.training.layouts.layout import Layout
from alexnet_jax.training.layouts.stored_plan import StoredPlan
from alexnet_jax.training.layouts.tower_mesh import TOWERS, TowerMesh
from alexnet_jax.training.layouts.two_towers import TwoTowers
from alexnet_jax.training.steps.state import abstract_train_state
from alexnet_jax.training.steps.train_step import Loss

LAYOUTS: dict[str, type[Layout]] = {
    layout.name: layout for layout in (OneDevice, TwoTowers, DataParallel, TowerMesh, Hybrid)
}

_BUFFERS = 1.5  # the gradients take half as many bytes as the parameters and their velocities


def choose_layout(
    config: TrainConfig,
    devices: int | None = None,
    layout: LayoutName = "auto",
    data_parallel: int | None = None,
    plan: StoredPlan | None = None,
    optimizer: optax.GradientTransformation | None = None,
    loss: Loss | None = None,
) -> Layout:
    """Chooses the layout and the devices of a run.

    ``auto`` is the layout that ``plan`` finds fastest. Without a plan it is ``single`` on one device, and ``towers`` on
    two if the net has two towers; with an ``optimizer``, which may need whole arrays, ``mesh``. Otherwise it is
    ``data`` if the parameters, velocities and gradients fit into the memory of a device, and ``hybrid`` if not.

    Args:
        config: the run.
        devices: the number of devices. None uses those that the layout can use: one for ``single``, two for ``towers``,
            and all for the others. The virtual devices of a CPU share its cores, so ``auto`` uses one for each tower.
        layout: the name of the layout.
        data_parallel: the number of parts that a batch is divided into. None follows from ``devices``.
        plan: a plan for this run on all of these devices.
        optimizer: replaces the optimizer of ``config``, as in ``train_step``.
        loss: replaces the loss of ``config``, as in ``train_step``.

    Raises:
        UsageError: there are not so many devices, the layout cannot use them, there is no such layout, or the plan is
            for another run or other devices.
    """
    if plan is not None and layout != "auto":
        raise UsageError(f"--plan is {plan.file} with --layout {layout}: leave out one of them")
    available = sorted(jax.devices(), key=lambda device: device.process_index)
    devices = requested_devices(layout, devices, data_parallel) or _default_devices(config, layout, available)
    if jax.process_count() == 1 and not 1 <= devices <= len(available):
        raise UsageError(f"--devices is {devices}: use 1 to {len(available)}, the devices here")
    name: str = layout
    if plan is not None:
        plan.check(config, available[0].device_kind, devices)
        name, devices = str(plan.layout), plan.layout_devices
    elif layout == "auto":
        name = _suitable(config, available[:devices], optimizer)
    if jax.process_count() > 1:
        name = _over_processes(devices, name, len(available))
    return LAYOUTS[name](config, available[:devices], optimizer, loss)


def reason_of(layout: Layout, plan: StoredPlan | None = None) -> str | None:
    """Why ``auto`` chose a layout, in words. None if it had no choice.

    Args:
        layout: the result of ``choose_layout``.
        plan: the plan that it had.
    """
    if plan is not None:
        return str(plan)
    if layout.name not in (DataParallel.name, Hybrid.name):
        return None
    fit = "do not fit" if isinstance(layout, Hybrid) else "fit"
    return f"{layout.name}, without a --plan: the net and its gradients {fit} into the memory of a device"


def _over_processes(devices: int, name: str, available: int) -> str:
    """The layout ``name`` over all processes. ``jax.pmap`` returns to each its part only, so the towers are a mesh."""
    if devices != available:
        raise UsageError(
            f"the run asks for {devices} device(s) and its {jax.process_count()} processes have {available}: "
            "several processes use all of their devices"
        )
    return TowerMesh.name if name == TwoTowers.name else name


def _default_devices(config: TrainConfig, layout: LayoutName, available: Sequence[jax.Device]) -> int:
    is_cpu = available[0].platform == "cpu"
    is_alone = jax.process_count() == 1
    return min(config.model.towers, len(available)) if layout == "auto" and is_cpu and is_alone else len(available)


def _suitable(
    config: TrainConfig, devices: Sequence[jax.Device], optimizer: optax.GradientTransformation | None
) -> str:
    if len(devices) == 1:
        return OneDevice.name
    if len(devices) == TOWERS == config.model.towers:
        return TwoTowers.name if optimizer is None else TowerMesh.name
    return DataParallel.name if _fits(config, jax.local_devices()[0]) else Hybrid.name


def _fits(config: TrainConfig, device: jax.Device) -> bool:
    """Whether the arrays of a whole net fit into the memory of ``device``, as far as it is known."""
    limit = (device.memory_stats() or {}).get("bytes_limit")
    state = abstract_train_state(config)
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves((state.params, state.opt_state)))
    return limit is None or _BUFFERS * size <= limit
