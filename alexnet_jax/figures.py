"""Figures of Matplotlib, and their files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from alexnet_jax.files import replace_file


def new_figure(**options: Any) -> Any:
    """A figure of Matplotlib that arranges its axes by itself. ``options`` are those of ``Figure``."""
    from matplotlib.figure import Figure  # slow to import

    return Figure(layout="constrained", **options)


def save_figure(figure: Any, path: Path) -> None:
    """Writes a PNG file. Readers see the old file or the new one."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130)
    replace_file(path, content.getvalue())
