"""Where the processes of a run meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alexnet_jax.errors import UsageError


@dataclass(frozen=True)
class Address:
    """Where the processes meet.

    Attributes:
        coordinator: HOST:PORT of process 0, which serves the others; None to detect it.
        processes: the number of processes; None to detect it.
        process_id: the number of this process; None to detect it.
        detection: whether to ask SLURM, Open MPI, Kubernetes or a TPU VM for what is None.
    """

    coordinator: str | None = None
    processes: int | None = None
    process_id: int | None = None
    detection: Literal["auto", "none"] = "auto"

    def __post_init__(self) -> None:
        if self.coordinator is not None and not _has_port(self.coordinator):
            raise UsageError(f"--coordinator is {self.coordinator!r}: use HOST:PORT, such as localhost:1234")
        if self.processes is not None and self.processes < 1:
            raise UsageError(f"--processes is {self.processes}: use a number above 0")
        if self.process_id is not None and self.process_id not in range(self.processes or self.process_id + 1):
            last = "one less than --processes" if self.processes is None else self.processes - 1
            raise UsageError(f"--process_id is {self.process_id}: use 0 to {last}")
        if self.detection == "none" and None in (self.coordinator, self.processes, self.process_id):
            raise UsageError("--cluster none needs --coordinator HOST:PORT, --processes N and --process_id I")


def _has_port(address: str) -> bool:
    port = address.rpartition(":")[2]
    return port.isdecimal() and 0 < int(port) < 2**16
