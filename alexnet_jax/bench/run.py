"""One run of everything that is compared, and what it found."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from alexnet_jax.bench.layers import layer_contenders
from alexnet_jax.bench.machine import describe_machine, product_contenders
from alexnet_jax.bench.net import WORKS, OwnNet, flops
from alexnet_jax.bench.peers import PEERS, Peer, running_peer
from alexnet_jax.bench.timing import Contender, Task, Timing, alternate
from alexnet_jax.config import TrainConfig

OURS = "alexnet_jax"


@dataclass(frozen=True)
class Report:
    """What a run found."""

    machine: dict[str, Any]
    batch_size: int
    dtype: str
    devices: int
    compile_seconds: dict[str, float]
    """Of the training step, ``cold`` and ``cached``."""
    peers: dict[str, str]
    """Versions and threads of the peers, by name."""
    timings: dict[Task, Timing]

    @property
    def peak(self) -> float:
        """Floating-point operations a second in the fastest go of the fastest matrix product, on one device."""
        return max(task.flops / timing.low for task, timing in self.timings.items() if task.by == "product")

    def best(self, by: str, work: str) -> Task | None:
        """The way in which ``by`` does ``work`` fastest."""
        tasks = [task for task in self.timings if (task.by, task.work) == (by, work)]
        return min(tasks, key=self.ratio, default=None)

    def ratio(self, task: Task) -> float:
        """How many times as fast as in ``task`` we do its work.

        The median over the rounds, in each of which both have their goes one soon after the other: on a busy machine
        that varies less than the ratio of the medians.
        """
        ours = next(own for own in self.timings if (own.by, own.work) == (OURS, task.work))
        goes = zip(self.timings[task].seconds, self.timings[ours].seconds, strict=True)
        return statistics.median(theirs / mine for theirs, mine in goes)

    def numbers(self, task: Task) -> dict[str, float]:
        """Milliseconds in the median and their range, images and 10^9 operations a second, share of the peak."""
        timing = self.timings[task]
        return {
            "milliseconds": 1000 * timing.median,
            "low": 1000 * timing.low,
            "high": 1000 * timing.high,
            "images_per_second": self.batch_size / timing.median,
            "gflops_per_second": task.flops / timing.median / 1e9,
            "fraction_of_peak": task.flops / timing.median / self.peak,
        }

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "machine": self.machine,
            "batch_size": self.batch_size,
            "devices": self.devices,
            "dtype": self.dtype,
            "compile_seconds": self.compile_seconds,
            "peak_gflops_per_second": self.peak / 1e9,
            "peers": self.peers,
            "ratios": {peer: self._ratios(peer) for peer in self.peers},
            "timings": [
                dataclasses.asdict(task) | {"seconds": timing.seconds} | self.numbers(task)
                for task, timing in self.timings.items()
            ],
        }

    def _ratios(self, peer: str) -> dict[str, float]:
        best = {work: self.best(peer, work) for work in WORKS}
        return {work: self.ratio(task) for work, task in best.items() if task is not None}


def run_bench(
    config: TrainConfig,
    devices: int,
    repeats: int,
    layers: bool,
    against: Sequence[str],
    doing: Callable[[str], None] = lambda text: None,
) -> Report:
    """Times ``config``, its peers and, if asked for, its layers in turn, ``repeats`` goes each.

    ``doing`` is told what comes next. Raises UsageError where the devices cannot be had, AlexNetError where a peer
    fails or computes another net.
    """
    machine = describe_machine()
    doing("drawing weights")
    net = OwnNet(config, devices)
    doing("compiling the training step, and again from the cache")
    compile_seconds = net.compile_seconds()
    with contextlib.ExitStack() as stack:
        peers = [_start(stack, name, net, doing) for name in against]
        contenders = _in_turn(net, peers) | product_contenders(config.dtype)
        if layers:
            contenders |= dict(layer_contenders(config, net.params))
        timings = alternate(contenders, repeats, doing)
    abouts = {peer.name: peer.about for peer in peers}
    return Report(machine, config.batch_size, config.dtype, devices, compile_seconds, abouts, timings)


class Twin:
    """Our own net in float32, as a peer of the same net in another type."""

    name = "float32"
    about = "the same program"
    forms = ("",)

    def __init__(self, net: OwnNet) -> None:
        config = dataclasses.replace(net.config, dtype="float32")
        self._contenders = OwnNet(config, net.devices).contenders()

    def contender(self, form: str, work: str) -> Contender:
        """What runs ``work``."""
        return self._contenders[work]


def _start(stack: contextlib.ExitStack, name: str, net: OwnNet, doing: Callable[[str], None]) -> Peer | Twin:
    if name == Twin.name:
        return Twin(net)
    doing(f"starting {PEERS[name]} and comparing its logits")
    peer = stack.enter_context(running_peer(name, net))
    peer.check_same(np.asarray(jax.jit(net.logits)(net.params, net.crops)))
    return peer


def _in_turn(net: OwnNet, peers: Sequence[Peer | Twin]) -> dict[Task, Contender]:
    """What we do, each work followed by the same of every peer."""
    ours, config = net.contenders(), net.config
    contenders: dict[Task, Contender] = {}
    for work, own in ours.items():
        cost = flops(config.model, work, config.batch_size)
        contenders[Task(OURS, "", work, cost)] = own
        for peer in peers:
            for form in peer.forms:
                contenders[Task(peer.name, form, work, cost)] = peer.contender(form, work)
    return contenders
