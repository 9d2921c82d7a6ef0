"""How many images the classes of a folder have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from alexnet_jax.data.source import DataSet
from alexnet_jax.errors import first_few

_MUCH = 2
"""A set is unbalanced if its largest class has at least this many times the images of its smallest."""


def balance_notes(data: DataSet) -> Iterator[str]:
    """At most one note: how many training images the classes have, if they differ much, and which have one."""
    entries = data.train.entries()
    if not entries:
        return
    counts = Counter(data.class_names[label] for _, label in entries)
    single = [name for name in data.class_names if counts[name] == 1]
    (largest, most), (smallest, least) = counts.most_common()[0], counts.most_common()[-1]
    parts = []
    if most >= _MUCH * least:
        parts.append(f"the classes have {least:,} ({smallest}) to {most:,} ({largest}) images to train")
    if single:
        parts.append(f"{len(single):,} of {len(data.class_names):,} classes have one ({first_few(single)})")
    if parts:
        yield f"{data.where}: {', and '.join(parts)}"
