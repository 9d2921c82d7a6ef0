"""The page as HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from PIL import Image

_TEMPLATE = Path(__file__).with_name("page.html.jinja")
_MOST_PIXELS_OF_PNG = 64
"""The side up to which images are embedded without loss. Larger ones are JPEG."""


@dataclass(frozen=True)
class Bar:
    """One of the most probable classes of an image."""

    name: str
    probability: float
    is_right: bool


@dataclass(frozen=True)
class Picture:
    """An image with its class, and what else is shown about it."""

    image: UInt8[np.ndarray, "height width channels"]
    name: str
    note: str = ""
    bars: Sequence[Bar] = ()
    neighbours: Sequence[Picture] = ()

    @property
    def uri(self) -> str:
        """The image as a ``data:`` address."""
        return image_uri(self.image)


@dataclass(frozen=True)
class Page:
    """What the page shows. Figures are ``<svg>`` elements.

    Attributes:
        title: the name of the run.
        facts: names and values, of the run and its data.
        errors: names and values of the final errors.
        curves: the curves, or None if the run has no rows.
        filters: the kernels of conv1.
        panel: test images, each with its most probable classes and its nearest training images.
        panel_note: how the neighbours were found.
        worst: the worst mistakes.
        confusion: the confusion matrix.
        confused: the most frequent mistakes: class, prediction, number of images.
        time: activities and seconds.
        version: the version of this package.
    """

    title: str
    facts: dict[str, str]
    errors: dict[str, str]
    curves: str | None
    filters: str
    panel: Sequence[Picture]
    panel_note: str
    worst: Sequence[Picture]
    confusion: str
    confused: Sequence[tuple[str, str, int]]
    time: dict[str, float]
    version: str


def render(page: Page) -> str:
    """One HTML page that needs no other file and no network."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = _svg
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(page=page)


def _svg(text: str) -> Markup:
    return Markup(text)  # made by Matplotlib, which escapes names


def image_uri(image: UInt8[np.ndarray, "height width channels"]) -> str:
    """An image as a ``data:`` address, PNG if it is small and JPEG otherwise."""
    buffer = io.BytesIO()
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    kind: dict[str, Any] = {"format": "PNG"}
    if max(image.shape[:2]) > _MOST_PIXELS_OF_PNG:
        kind = {"format": "JPEG", "quality": 88}
    Image.fromarray(pixels).save(buffer, **kind)
    content = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind['format'].lower()};base64,{content}"
