"""A picture of the perceptual distance of two images, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from alexnet_jax.figures import new_figure, save_figure

Pixels = UInt8[np.ndarray, "height width 3"]


def draw_map(images: dict[str, Pixels], distances: Float[np.ndarray, "height width"], title: str, path: Path) -> None:
    """Draws two images side by side and the map of their distance.

    Args:
        images: the two images by their names.
        distances: the distance at each pixel.
        title: the text above the picture.
        path: the PNG file to write.
    """
    height, width = distances.shape
    side = 3.6
    figure = new_figure(figsize=(3 * side + 0.9, side * min(max(height / width, 0.35), 2.5) + 0.7))
    panels = figure.subplots(1, 3)
    for axes, (name, pixels) in zip(panels, images.items(), strict=False):
        axes.imshow(pixels, interpolation="nearest")
        axes.set_title(_shortened(name), fontsize=9, parse_math=False)
    shown = panels[2].imshow(distances, cmap="magma", vmin=0, vmax=max(float(distances.max()), 1e-12))
    panels[2].set_title("distance at each pixel", fontsize=9)
    figure.suptitle(title, fontsize=11, parse_math=False)
    for axes in panels:
        axes.set_axis_off()
    beside = panels[2].inset_axes((1.03, 0, 0.04, 1))  # as high as the map
    figure.colorbar(shown, cax=beside).ax.tick_params(labelsize=8)
    save_figure(figure, path)


def _shortened(name: str, most: int = 44) -> str:
    return name if len(name) <= most else f"...{name[-most + 3 :]}"
