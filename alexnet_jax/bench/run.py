"""Runs a benchmark: this project's net, its peers, its layers and matrix products, alternating."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np

from alexnet_jax.bench.layers import layer_contenders
from alexnet_jax.bench.machine import describe_machine, matmul_contenders
from alexnet_jax.bench.net import WORKS, OwnNet, flops
from alexnet_jax.bench.peers import PEERS, Peer, running_peer
from alexnet_jax.bench.report import OURS, Report
from alexnet_jax.bench.timing import Contender, Task, alternate
from alexnet_jax.config import TrainConfig


def run_bench(
    config: TrainConfig,
    devices: int,
    repeats: int,
    layers: bool,
    against: Sequence[str],
    on_progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Times a net, its peers and matrix products.

    Args:
        config: the net, its batch size and its dtype, as ``bench_config`` makes it.
        devices: the number of devices.
        repeats: the number of rounds.
        layers: whether to also time each layer separately.
        against: the peers, keys of ``PEERS``.
        on_progress: called with a line before each part.

    Raises:
        UsageError: the devices are not available.
        AlexNetError: a peer fails, or computes another net.
    """
    machine = describe_machine()
    on_progress("drawing initial weights")
    net = OwnNet(config, devices)
    on_progress("compiling the training step, then again from the cache")
    compile_seconds = net.compile_seconds()
    with contextlib.ExitStack() as stack:
        peers = [_start(stack, name, net, on_progress) for name in against]
        contenders = _net_contenders(net, peers) | matmul_contenders(config.dtype)
        if layers:
            contenders |= dict(layer_contenders(config, net.params, net.batch_stats))
        timings = alternate(contenders, repeats, on_progress)
    versions = {peer.name: peer.about for peer in peers}
    return Report(machine, config.batch_size, config.dtype, devices, compile_seconds, versions, timings)


class OwnNetInFloat32:
    """The net of this project in float32, as a peer of the same net in another dtype."""

    name = "float32"
    about = "the same program"
    forms = ("",)
    works = WORKS

    def __init__(self, net: OwnNet) -> None:
        config = dataclasses.replace(net.config, dtype="float32")
        self._contenders = OwnNet(config, net.devices).contenders()

    def contender(self, form: str, work: str) -> Contender:
        """Runs ``work`` in the only form."""
        return self._contenders[work]


def _start(
    stack: contextlib.ExitStack, name: str, net: OwnNet, on_progress: Callable[[str], None]
) -> Peer | OwnNetInFloat32:
    if name == OwnNetInFloat32.name:
        return OwnNetInFloat32(net)
    on_progress(f"starting {PEERS[name]} and comparing its logits")
    peer = stack.enter_context(running_peer(name, net))
    peer.check_logits(np.asarray(jax.jit(net.logits)(net.params, net.crops)))
    return peer


def _net_contenders(net: OwnNet, peers: Sequence[Peer | OwnNetInFloat32]) -> dict[Task, Contender]:
    """Each work of this project, followed by the same work of every peer."""
    contenders: dict[Task, Contender] = {}
    for work, own in net.contenders().items():
        cost = flops(net.config.model, work, net.config.batch_size)
        contenders[Task(OURS, "", work, cost)] = own
        for peer in peers:
            for form in peer.forms if work in peer.works else ():
                contenders[Task(peer.name, form, work, cost)] = peer.contender(form, work)
    return contenders
