"""Reads the text of a compiled program: its operations, the compiler's estimates, and the collectives."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

_COMPUTATION = re.compile(r"(ENTRY )?%([\w.\-]+) \(.*\{$")
_OPERATION = re.compile(r"\s+(?:ROOT )?%([\w.\-]+) = (\(.*?\) |\S+ )([\w\-]+)\((.*?)\)(?:,|$)(.*)")
_CALLED = re.compile(
    r"(calls|to_apply|body|condition|true_computation|false_computation|branch_computations|called_computations)="
    r"(?:\{([^}]*)\}|(%[\w.\-]+))"
)
_NAME = re.compile(r"%([\w.\-]+)")
_ARRAY = re.compile(r"([a-z]+\d*(?:e\dm\d\w*)?)\[([\d,]*)\]")
_BITS = re.compile(r"\d+")

ENTRY = "ENTRY"
"""The name of the main computation."""

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
"""The kinds of operations that exchange data between devices."""

_START, _DONE = "-start", "-done"
# operations that move no data, or move it in the background
_FREE = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant", "while", "custom-call", "partition-id"}
_LARGE = 1e6  # bytes
_BODIES = ("body", "true_computation", "false_computation", "branch_computations")
"""The roles of the computations of loops and conditionals."""


@dataclass(frozen=True)
class Operation:
    """One line of a compiled program.

    Attributes:
        name: its name.
        shape: the shape of its result, as XLA writes it.
        kind: what it does, such as ``fusion`` or ``all-reduce``.
        arguments: what is between its parentheses.
        attributes: what follows.
    """

    name: str
    shape: str
    kind: str
    arguments: str
    attributes: str

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of the operations that it reads."""
        return tuple(_NAME.findall(self.arguments))

    @property
    def source(self) -> str:
        """The name in JAX of the operation, or of the last one that was fused into it."""
        return _first(r'op_name="([^"]*)"', self.attributes) or ""

    @property
    def cycles(self) -> int | None:
        """The compiler's estimate. None if it has none. The body of a loop counts once."""
        found = _first(r'"estimated_cycles":"(\d+)"', self.attributes)
        return None if found is None else int(found)

    @cached_property
    def called(self) -> dict[str, tuple[str, ...]]:
        """The computations that it runs, by their role, such as the ``body`` and the ``condition`` of a loop."""
        found = _CALLED.findall(self.attributes)
        return {role: tuple(_NAME.findall(several or one)) for role, several, one in found}


@dataclass(frozen=True)
class Collective:
    """An exchange of data between the devices.

    Attributes:
        kind: one of ``COLLECTIVES``.
        bytes: those of its result or of its operands, whichever are more, on one device.
        group: the number of devices that exchange with one another.
        times: how often it runs in one step.
        shape: the shape of its result, as XLA writes it.
        source: the name in JAX.
    """

    kind: str
    bytes: int
    group: int
    times: int
    shape: str
    source: str


class Program:
    """A compiled program.

    Attributes:
        computations: the operations of each computation. The main one is ``ENTRY``.
        devices: the number of devices that run it.
    """

    def __init__(self, text: str, devices: int = 1) -> None:
        self.computations = _computations(text)
        self.devices = devices

    @property
    def entry(self) -> list[Operation]:
        """The operations of the main computation."""
        return self.computations[ENTRY]

    def operations(self) -> list[Operation]:
        """The operations of all computations, in the order of the text."""
        return list(chain.from_iterable(self.computations.values()))

    @cached_property
    def runs(self) -> Counter[str]:
        """How often each computation runs in one step."""
        counts: Counter[str] = Counter()

        def run(name: str, times: int) -> None:
            counts[name] += times
            for operation in self.computations.get(name, []):
                each = times * self._iterations(operation) if operation.kind == "while" else times
                for called in operation.called.values():
                    for callee in called:
                        run(callee, each)

        run(ENTRY, 1)
        return counts

    def cycles(self, loops: bool = True) -> int:
        """The sum of the compiler's estimates.

        Args:
            loops: whether the body of a loop counts once for each of its iterations.
        """
        return sum(
            (self.runs[name] if loops else 1) * sum(operation.cycles or 0 for operation in operations)
            for name, operations in self.computations.items()
        )

    def without_estimate(self) -> dict[str, int]:
        """Bytes read and written by the large operations without an estimate, by kind, for one step.

        Collectives and what fusions contain are left out.
        """
        moved: dict[str, int] = defaultdict(int)
        for computation in self._unfused(ENTRY):
            operations = self.computations[computation]
            shapes = {operation.name: operation.shape for operation in operations}
            for operation in operations:
                if operation.cycles is None and not _is_free(operation.kind):
                    size = size_of(operation.shape) + sum(size_of(shapes.get(name, "")) for name in operation.operands)
                    if size > _LARGE:
                        moved[operation.kind] += size * self.runs[computation]
        return dict(moved)

    def _unfused(self, name: str) -> set[str]:
        """The computation ``name``, and the bodies of its loops and the branches of its conditionals."""
        called = (operation.called.get(role, ()) for operation in self.computations.get(name, []) for role in _BODIES)
        return {name}.union(*(self._unfused(callee) for callee in chain.from_iterable(called)))

    def collectives(self) -> list[Collective]:
        """The collectives of one step, in the order of the text."""
        return list(self._collectives())

    def _collectives(self) -> Iterator[Collective]:
        for name, operations in self.computations.items():
            shapes = {operation.name: operation.shape for operation in operations}
            for operation in operations:
                kind = operation.kind.removesuffix(_START)
                if kind in COLLECTIVES and self.runs[name]:
                    read = sum(size_of(shapes.get(operand, "")) for operand in operation.operands)
                    written = size_of(operation.shape)
                    if operation.kind.endswith(_START) and kind != "all-reduce":
                        written -= read  # the result of such a start holds the operands, too
                    yield Collective(
                        kind,
                        max(read, written),
                        _group_size(operation.attributes, self.devices),
                        self.runs[name],
                        operation.shape.strip(),
                        operation.source,
                    )

    def _iterations(self, loop: Operation) -> int:
        """The number of iterations of a loop, known to the compiler or counted from 0 to a constant."""
        known = _first(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
        if known is not None:
            return int(known)
        condition = self.computations.get(loop.called["condition"][0], [])
        return max((int(step.arguments) for step in condition if _is_count(step)), default=1)


def size_of(shape: str) -> int:
    """Bytes of all arrays of a shape as XLA writes it."""
    arrays = _ARRAY.findall(shape)
    return sum(_bytes_of(kind, math.prod(int(side) for side in sides.split(",") if side)) for kind, sides in arrays)


def _bytes_of(kind: str, elements: int) -> int:
    bits = _BITS.search(kind)
    return elements if bits is None else math.ceil(elements * int(bits[0]) / 8)  # pred has a byte


def _computations(text: str) -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    current: list[Operation] = []
    for line in text.splitlines():
        if start := _COMPUTATION.match(line):
            current = found.setdefault(ENTRY if start[1] else start[2], [])
        elif parts := _OPERATION.match(line):
            current.append(Operation(*parts.groups()))
    return found


def _is_free(kind: str) -> bool:
    return kind in _FREE or kind in COLLECTIVES or kind.endswith((_START, _DONE))


def _is_count(operation: Operation) -> bool:
    return operation.kind == "constant" and operation.shape.startswith("s32[]") and operation.arguments.isdecimal()


def _group_size(attributes: str, devices: int) -> int:
    """The number of devices in each group of a collective, in any of the forms in which XLA writes the groups."""
    if (named := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", attributes)) is not None:
        sizes = {axis: int(size) for axis, size in re.findall(r"'(\w+)'=(\d+)", named[1])}
        return math.prod(sizes[axis] for axis in re.findall(r"'(\w+)'", named[2]))
    if (counted := _first(r"replica_groups=\[\d+,(\d+)\]<=", attributes)) is not None:
        return int(counted)
    if (listed := _first(r"replica_groups=\{\{([\d,]+)\}", attributes)) is not None:
        return len(listed.split(","))
    return 2 if "source_target_pairs=" in attributes else devices


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return None if found is None else found[1]
