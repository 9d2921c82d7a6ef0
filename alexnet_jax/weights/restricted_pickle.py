"""A restricted unpickler for files from untrusted sources. It imports and calls nothing that a file names.

Python's unpickler can call any function, allocate any length and hash any key. This one supports only the opcodes that
``torch.save`` writes (of protocols 2 to 5, see the standard library's ``pickletools``), which pickles of NumPy arrays
need too, and the caller lists the globals that a pickle may name.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Any, BinaryIO, Protocol, runtime_checkable

from alexnet_jax.errors import AlexNetError, printable

_MAX_OPCODES = 200_000
"""AlexNet's checkpoints have a few thousand. The limit stops a file of empty dicts from filling the memory."""

_MARK = object()

_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _MARK}
_ARGUMENTS = {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
_ARGUMENTS |= {"BINUNICODE8", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@runtime_checkable
class Stateful(Protocol):
    """A replacement for a class whose objects are pickled with a state."""

    def set_state(self, state: Any) -> None:
        """Takes the state. A wrong one raises ValueError, TypeError, IndexError or KeyError."""


def read_pickle(
    stream: BinaryIO, known: Mapping[str, Any], persistent: Callable[[Any], Any], writer: str, remedy: str
) -> Any:
    """Reads one pickle.

    Args:
        stream: where the pickle starts. It is left at the end of the pickle. It must not allocate more than it holds;
            ``io.BytesIO`` does not.
        known: the replacement for each global that the pickle may name, such as ``collections.OrderedDict``.
        persistent: returns the object for a persistent id.
        writer: what writes such pickles, for messages.
        remedy: what to write instead of other values, for messages.

    Returns:
        The value that the pickle describes.

    Raises:
        AlexNetError: the pickle names another global, has an unsupported opcode, or is damaged.
    """
    machine = _Machine(known, persistent, writer, remedy)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count == _MAX_OPCODES:
                raise AlexNetError(f"has more than {count:,} values; {remedy}")
            machine.step(opcode.name, argument)
        (value,) = machine.stack
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise AlexNetError(f"is damaged, or was not written by {writer}; download it again") from error
    return value


def ordered_dict(pairs: list[Any] | None = None) -> dict[str | int, Any]:
    """Stands for ``collections.OrderedDict``. Python 2 pickles pass the entries, Python 3 pickles set them later.

    Empties ``pairs``, so that a file cannot have the same list copied many times.
    """
    entries: dict[str | int, Any] = {}
    if pairs is not None:
        _set_items(entries, _of_type(pairs, list))
        pairs.clear()
    return entries


def _of_type(value: Any, kind: type | UnionType) -> Any:
    if not isinstance(value, kind):
        raise TypeError(kind)
    return value


def _set_items(entries: dict[str | int, Any], pairs: Iterable[tuple[Any, Any]]) -> None:
    for key, value in pairs:  # hashing other keys, such as deeply nested tuples, could take unbounded time
        entries[_of_type(key, str | int)] = value


class _Machine:
    """The stack and the memo of the pickle machine."""

    def __init__(self, known: Mapping[str, Any], persistent: Callable[[Any], Any], writer: str, remedy: str):
        self._known, self._persistent = known, persistent
        self._writer, self._remedy = writer, remedy
        self._memo: dict[int, Any] = {}
        self.stack: list[Any] = []

    def step(self, opcode: str, argument: Any) -> None:
        """Executes one opcode."""
        stack = self.stack
        if opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode in _ARGUMENTS:
            stack.append(argument)
        elif opcode in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[opcode])))
        else:
            self._step(opcode, argument)

    def _step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        match opcode:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "TUPLE":
                stack.append(tuple(self._pop_to_mark()))
            case "APPEND" | "APPENDS":
                values = self._pop(1) if opcode == "APPEND" else self._pop_to_mark()
                _of_type(stack[-1], list).extend(values)
            case "SETITEM" | "SETITEMS":
                values = self._pop(2) if opcode == "SETITEM" else self._pop_to_mark()
                _set_items(_of_type(stack[-1], dict), zip(values[::2], values[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "GLOBAL":
                stack.append(self._global(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                stack.append(self._global(*self._pop(2)))
            case "BINPERSID":
                stack.append(self._persistent(stack.pop()))
            case "REDUCE":
                function, arguments = self._pop(2)
                stack.append(function(*_of_type(arguments, tuple)))
            case "BUILD":
                (state,) = self._pop(1)
                if isinstance(stack[-1], Stateful):
                    stack[-1].set_state(state)
                else:  # sets attributes of a dict: PyTorch stores the versions of modules this way
                    _of_type(stack[-1], dict)
            case _:
                raise AlexNetError(f"has the pickle opcode {opcode}, which {self._writer} does not write for arrays")

    def _global(self, module: str, name: str) -> Any:
        full_name = f"{_of_type(module, str)}.{_of_type(name, str)}"
        if full_name not in self._known:
            raise AlexNetError(f"has a {printable(full_name)}, which is not supported; {self._remedy}")
        return self._known[full_name]

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError(count)
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def _pop_to_mark(self) -> list[Any]:
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]
