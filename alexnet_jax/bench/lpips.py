"""Times the perceptual distance and its gradient, and the same in PyTorch, alternating."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from alexnet_jax.bench.machine import describe_machine
from alexnet_jax.bench.peers import running_program
from alexnet_jax.bench.report import OURS
from alexnet_jax.bench.timing import Contender, Task, alternate, seconds_of
from alexnet_jax.perceptual.heads import load_heads
from alexnet_jax.perceptual.lpips import lpips
from alexnet_jax.weights.pretrained import pretrained

WORKS = ("forward", "gradient")
"""The distances; their mean and its gradient with respect to the first images."""


def bench_lpips(
    batch_sizes: Sequence[int],
    size: int,
    repeats: int,
    against: Sequence[str],
    on_progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Times the distance of random images.

    Args:
        batch_sizes: the numbers of pairs.
        size: the side of the images in pixels.
        repeats: the number of rounds.
        against: the peers, ``torch`` or none.
        on_progress: called with a line before each part.

    Returns:
        ``machine``, ``size``, ``peers`` and ``rows``: for each batch size and work the ``milliseconds`` of this
        project, and of the fastest ``form`` of each peer with its ``ratio`` to ours, the median over the rounds.

    Raises:
        AlexNetError: a peer fails, or computes other distances.
    """
    params = jax.tree.map(jnp.asarray, pretrained("torchvision_features")[1])
    contenders: dict[Task, Contender] = {}
    peers = {}
    with contextlib.ExitStack() as stack:
        for count in batch_sizes:
            rng = np.random.default_rng(count)
            a, b = (jnp.asarray(rng.random((count, size, size, 3), dtype=np.float32)) for _ in range(2))
            own = _own_contenders(params, a, b)
            started = []
            for name in against:
                on_progress(f"starting {name} and comparing its distances")
                directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                _write_task(directory, params, a, b)
                peer = stack.enter_context(running_program(name, f"{name}_lpips_peer.py", "float32", directory))
                peer.check_logits(np.asarray(lpips(params, a, b)))
                peers[name] = peer.about
                started.append(peer)
            for work in WORKS:
                label = f"{work}, batch {count}"
                contenders[Task(OURS, "", label, 0)] = own[work]
                contenders |= {
                    Task(peer.name, form, label, 0): peer.contender(form, work)
                    for peer in started
                    for form in peer.forms
                }
        timings = alternate(contenders, repeats, on_progress)
    rows = []
    for task in timings:
        if task.program != OURS:
            continue
        ours = timings[task]
        row: dict[str, Any] = {"work": task.work, "milliseconds": 1000 * ours.median, "seconds": ours.seconds}
        for name in peers:
            ratios = {
                other: statistics.median(x / y for x, y in zip(timings[other].seconds, ours.seconds, strict=True))
                for other in timings
                if (other.program, other.work) == (name, task.work)
            }
            best = min(ratios, key=ratios.__getitem__)
            row[name] = {"form": best.form, "milliseconds": 1000 * timings[best].median, "ratio": ratios[best]}
        rows.append(row)
    return {"machine": describe_machine(), "size": size, "peers": peers, "rows": rows}


def _own_contenders(params: PyTree, a: jax.Array, b: jax.Array) -> dict[str, Contender]:
    distance = jax.jit(lpips)
    gradient = jax.jit(jax.value_and_grad(lambda a, b, params: lpips(params, a, b).mean()))
    return {
        "forward": partial(seconds_of, distance, params, a, b),
        "gradient": partial(seconds_of, gradient, a, b, params),
    }


def _write_task(directory: Path, params: PyTree, a: jax.Array, b: jax.Array) -> None:
    arrays: dict[str, Any] = {"images_a": a, "images_b": b} | load_heads("v0.1")
    for name, layer in params.items():
        arrays[f"channels_first/{name}/kernel"] = np.asarray(layer["kernel"]).transpose(3, 2, 0, 1)
        arrays[f"channels_first/{name}/bias"] = layer["bias"]
    np.savez(
        directory / "arrays.npz", allow_pickle=False, **{name: np.asarray(array) for name, array in arrays.items()}
    )
