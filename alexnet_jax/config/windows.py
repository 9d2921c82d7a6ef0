"""The arithmetic of sliding windows: how many fit, and how far the last one extends past the edge.

The sources of AlexNet disagree. The authors' code and Caffe's pooling round the number of windows up, so that the last
window extends past the bottom and right edges. Caffe's convolutions and PyTorch round down.
"""

from __future__ import annotations

from typing import Literal

Rounding = Literal["up", "down"]


def window_count(size: int, window: int, stride: int, padding: int, rounding: Rounding) -> int:
    """The number of windows along an axis: ``1 + (2 * padding + size - window) / stride``, rounded.

    With 224 pixels, a window of 11 and stride 4, ``"up"`` returns the paper's 55 and ``"down"`` 54.

    Args:
        size: pixels along the axis.
        window: pixels of one window.
        stride: pixels between neighbouring windows.
        padding: zeros on each side, in pixels.
        rounding: the direction of rounding.
    """
    free = 2 * padding + size - window
    return 1 + (-(-free // stride) if rounding == "up" else free // stride)


def window_padding(size: int, window: int, stride: int, padding: int, rounding: Rounding) -> tuple[int, int]:
    """The padding (before, after) of an axis that makes unpadded windows match ``window_count`` exactly.

    The second number is less than ``padding`` where rounding down leaves some pixels unread. It can be
    negative. The arguments are those of ``window_count``.
    """
    covered = (window_count(size, window, stride, padding, rounding) - 1) * stride + window
    return padding, covered - size - padding
