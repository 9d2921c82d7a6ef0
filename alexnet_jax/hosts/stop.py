"""One signal to any process of a run stops all of them at the same step."""

from __future__ import annotations

import os
import signal

from jax.experimental.multihost_utils import reached_preemption_sync_point

from alexnet_jax.signals import StopRequest


class SharedStopRequest(StopRequest):
    """A ``StopRequest`` of several processes, by JAX's preemption service, which has its own handler of SIGTERM.

    Ctrl-C and SIGHUP become SIGTERM. All processes have to call ``is_due`` in the same order.
    """

    signals = tuple(number for number in StopRequest.signals if number != signal.SIGTERM)

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0

    def is_due(self) -> bool:
        """Whether a signal has arrived at any process. The answer is the same in all of them."""
        self._calls += 1
        if self.signal is None and reached_preemption_sync_point(self._calls):
            self.signal = int(signal.SIGTERM)
        return self.signal is not None

    def _arrives(self, number: int) -> None:
        del number
        os.kill(os.getpid(), signal.SIGTERM)
