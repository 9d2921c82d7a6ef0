"""Joins the processes that train one net, with ``jax.distributed``."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

import jax
import numpy as np
from jax._src import distributed  # jax.distributed does not show the key-value store
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from alexnet_jax.errors import AlexNetError, NotFiniteError, UsageError, first_line
from alexnet_jax.hosts.address import Address
from alexnet_jax.hosts.stop import SharedStopRequest
from alexnet_jax.hosts.team import Team
from alexnet_jax.hosts.watchdog import Watchdog

HEARTBEAT_TIMEOUT, SHUTDOWN_TIMEOUT = 30, 15
"""Seconds after which JAX ends all processes if one of them does not answer, or does not end."""
_SECONDS_TO_JOIN = 300
_SECONDS_TO_START = 3600  # while process 0 measures the statistics of the images, or reads a checkpoint
_SECONDS_TO_END = 600
_SECONDS_AFTER_AN_ERROR = 60

_Item = TypeVar("_Item")


class Cluster(Team):
    """A context in which this process is one of several.

    Enter it before JAX's backend starts. An error in the context ends the other processes as well.

    Args:
        address: where the processes meet.
        step_timeout: the most seconds for a part of a step, once that part has been measured three times. None for ten
            times the longest time so far, and at least 30.

    Raises:
        UsageError: no cluster was detected, or the address is incomplete.
        AlexNetError: the other processes do not come.
    """

    def __init__(self, address: Address, step_timeout: float | None = None) -> None:
        _join(address)
        state = distributed.global_state
        self._client: Any = state.client
        self.index, self.count = state.process_id, state.num_processes
        self._barriers = 0
        self._watchdog = Watchdog(self._client, self.index, self.count, step_timeout)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._end_together(_SECONDS_TO_END)
            jax.distributed.shutdown()
        elif isinstance(error, NotFiniteError):  # which all processes raise at the same step
            self._end_together(_SECONDS_AFTER_AN_ERROR)
        elif _is_of_exchange(error) and (cause := self._watchdog.cause()):
            raise AlexNetError(self._watchdog.message(cause)) from error
        else:
            self._watchdog.tell_failure(str(error) or type(error).__name__)
            if isinstance(error, AlexNetError) and not self.is_main:
                error.args = (f"process {self.index}: {error}",)

    def from_main(self, tree: PyTree) -> PyTree:
        """As in ``Team``, as NumPy arrays."""
        self._wait_for_all(_SECONDS_TO_START)
        return jax.tree.map(_from_bits, multihost_utils.broadcast_one_to_all(jax.tree.map(_to_bits, tree)), tree)

    def text_from_main(self, name: str, text: str) -> str:
        """As in ``Team``."""
        key = f"alexnet/texts/{name}"
        if self.is_main:
            self._client.key_value_set(key, text)
        return str(self._client.blocking_key_value_get(key, _SECONDS_TO_START * 1000))

    def stop_request(self) -> SharedStopRequest:
        """As in ``Team``."""
        return SharedStopRequest()

    def begins(self, activity: str) -> None:
        """As in ``Team``."""
        self._watchdog.begins(activity)

    def reaches(self, step: int) -> None:
        """As in ``Team``."""
        self._watchdog.reaches(step)

    def watch(self, items: Iterable[_Item], activity: str) -> Iterator[_Item]:
        """As in ``Team``."""
        iterator = iter(items)
        while True:
            self.begins("reads images")
            try:
                item = next(iterator)
            except StopIteration:
                return
            self.begins(activity)
            yield item

    def _end_together(self, seconds: int) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._wait_for_all(seconds)
        self._watchdog.stop()

    def _wait_for_all(self, seconds: int) -> None:
        self._barriers += 1
        self._client.wait_at_barrier(f"alexnet/barrier/{self._barriers}", seconds * 1000)


def _is_of_exchange(error: BaseException) -> bool:
    """Whether an exchange with other processes failed, probably because of one of them."""
    return isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error)


def _to_bits(leaf: Any) -> np.ndarray:
    """As unsigned integers, because the exchange is a sum, in which -0.0 becomes 0.0."""
    array = np.asarray(leaf)
    return array.view(f"u{array.dtype.itemsize}")


def _from_bits(bits: np.ndarray, like: Any) -> np.ndarray:
    return bits.view(np.asarray(like).dtype)


def _join(address: Address) -> None:
    if address.coordinator is not None and address.process_id == 0:
        _check_port(address.coordinator)
    is_late = threading.Timer(_SECONDS_TO_JOIN, _give_up)
    is_late.daemon = True
    is_late.start()
    with _without_proxies():
        try:
            jax.distributed.initialize(
                address.coordinator,
                address.processes,
                address.process_id,
                cluster_detection_method="deactivate" if address.detection == "none" else None,
                initialization_timeout=2 * _SECONDS_TO_JOIN,  # after which JAX aborts
                heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
                shutdown_timeout_seconds=SHUTDOWN_TIMEOUT,
            )
        except ValueError as error:  # something was not detected
            raise UsageError(
                f"--distributed: no cluster was detected ({first_line(error)}); use --coordinator HOST:PORT "
                "--processes N --process_id I"
            ) from error
        except jax.errors.JaxRuntimeError as error:
            raise AlexNetError(
                f"the processes of the run cannot meet ({first_line(error)}); check --coordinator, and that its port "
                "is free on its host"
            ) from error
        finally:
            is_late.cancel()


def _check_port(coordinator: str) -> None:
    """JAX 0.10 crashes if the port is not free."""
    family, host = (socket.AF_INET6, "::") if socket.has_dualstack_ipv6() else (socket.AF_INET, "0.0.0.0")
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, int(coordinator.rpartition(":")[2])))
        except OSError as error:
            raise UsageError(f"--coordinator is {coordinator}: its port cannot be used ({error.strerror})") from error


def _give_up() -> None:
    print(
        f"alexnet: error: the processes of the run did not meet within {_SECONDS_TO_JOIN} seconds; check that all were "
        "started, and that they reach the coordinator",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


@contextlib.contextmanager
def _without_proxies() -> Iterator[None]:
    """A context without proxy variables, because gRPC would reach for the coordinator through a proxy, and hang."""
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    for name in proxies:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(proxies)
