"""The arithmetic of sliding windows: how many fit, and how far the last one hangs over the edge.

AlexNet's sources disagree here. The authors' code and Caffe's pooling round the number of windows up
and let the last one hang over the bottom and right edges; Caffe's convolutions, PyTorch and the seeds round down.
"""

from __future__ import annotations

from typing import Literal

Rounding = Literal["up", "down"]


def window_count(size: int, window: int, stride: int, padding: int, rounding: Rounding) -> int:
    """Number of windows along an axis of ``size`` pixels: ``1 + (2 padding + size - window) / stride``, rounded.

    With ``rounding="up"``, 224 pixels, an 11-pixel window and stride 4 give the paper's 55; down, they give 54.
    """
    free = 2 * padding + size - window
    return 1 + (-(-free // stride) if rounding == "up" else free // stride)


def window_padding(size: int, window: int, stride: int, padding: int, rounding: Rounding) -> tuple[int, int]:
    """Pixels to add (before, after) an axis so that windows without padding of their own are exactly those counted.

    The second number is below ``padding`` where the windows, rounded down, leave a rest of the image unread.
    """
    covered = (window_count(size, window, stride, padding, rounding) - 1) * stride + window
    return padding, covered - size - padding
