"""The forms of each operation, by platform.

A platform without an entry runs the plain form. ``bench/studies/backend_forms.md`` lists the gain of each form.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
from jax import lax
from jaxtyping import Array

from alexnet_jax.errors import unknown_name
from alexnet_jax.ops import crops, layers
from alexnet_jax.ops.backends import cpu, tpu

PLAIN = "plain"
"""The name of an operation's plain form."""

Form = Callable[..., Array]

FORMS: dict[Form, dict[str, Form]] = {
    layers.add_bias: {"cpu": cpu.add_bias},
    layers.convolve: {"cpu": cpu.convolve, "tpu": tpu.convolve},
    layers.dense: {"cpu": cpu.dense},
    layers.local_response_norm: {"tpu": tpu.local_response_norm},
    layers.max_pool: {"cpu": cpu.max_pool},
    crops.crop: {"tpu": tpu.crop},
}
"""The forms of each operation by platform. The keys are the plain forms."""

_chosen: Any = jax.make_user_context(default_value=())  # jit compiles again when it changes


def run(operation: Form, *arrays: Array, **options: Any) -> Array:
    """Runs ``operation`` in the form for the platform that the step is compiled for.

    Args:
        operation: a plain form: a key of ``FORMS``.
        *arrays: its arrays.
        **options: its keyword arguments, which are static.
    """
    forms = {PLAIN: operation} | FORMS[operation]
    choice = dict(_chosen.value).get(operation.__name__)
    if choice is not None:
        return forms[choice](*arrays, **options)
    by_platform = {platform: partial(form, **options) for platform, form in FORMS[operation].items()}
    return lax.platform_dependent(*arrays, default=partial(operation, **options), **by_platform)


@contextlib.contextmanager
def forms_of_platform(platform: str) -> Iterator[None]:
    """Runs the forms for one platform inside the ``with`` block, so that JAX traces no others.

    Operations whose form ``use_forms`` chose outside the block keep it.

    Args:
        platform: the ``platform`` of a ``jax.Device``.
    """
    platform = {"gpu": "cuda"}.get(platform, platform)
    names = {operation.__name__: platform if platform in forms else PLAIN for operation, forms in FORMS.items()}
    with _chosen(tuple(sorted((names | dict(_chosen.value)).items()))):
        yield


@contextlib.contextmanager
def use_forms(every: str | None = None, /, **choices: str) -> Iterator[None]:
    """Chooses forms by name for the code inside the ``with`` block, on any platform.

    ``with use_forms("plain"):`` runs every operation in its plain form. ``with use_forms(max_pool="cpu"):`` chooses the
    form of one operation. Functions under ``jax.jit`` are compiled again, once for each choice.

    Args:
        every: the form of all operations that have it. The others run in their plain form.
        **choices: the form of an operation by its name, such as ``convolve="tpu"``.

    Raises:
        UsageError: an operation or form does not exist.
    """
    names = {operation.__name__: (PLAIN, *forms) for operation, forms in FORMS.items()}
    chosen = {}
    if every is not None:
        known = sorted({form for forms in names.values() for form in forms})
        if every not in known:
            raise unknown_name("form", every, known)
        chosen = {name: every if every in forms else PLAIN for name, forms in names.items()}
    for name, form in choices.items():
        if name not in names:
            raise unknown_name("operation", name, names)
        if form not in names[name]:
            raise unknown_name(f"form of {name}", form, names[name])
    with _chosen(tuple(sorted((dict(_chosen.value) | chosen | choices).items()))):
        yield
