"""Exact sums over the pixels of a training set. They do not depend on the order of the images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, UInt8

STATISTICS = "statistics.npz"
"""The file of a prepared data set with its ``mean_image`` (size, size, 3) and ``colour_covariance`` (3, 3)."""


def colour_products(pixels: UInt8[np.ndarray, "height width channels"]) -> Int64[np.ndarray, "channels channels"]:
    """The sum over the pixels of the product of each pair of channels."""
    planes = np.ascontiguousarray(pixels.reshape(-1, pixels.shape[-1]).T, np.uint16)  # 255 * 255 still fits
    return (planes[:, None] * planes).sum(-1, dtype=np.int64)


@dataclass
class PixelSums:
    """Sums over ``count`` images of one size."""

    count: int
    pixels: Int64[np.ndarray, "size size channels"]
    products: Int64[np.ndarray, "channels channels"]

    @classmethod
    def zero(cls, image_size: int, channels: int = 3) -> PixelSums:
        """Sums over no images."""
        shape = (image_size, image_size, channels)
        return cls(0, np.zeros(shape, np.int64), np.zeros((channels, channels), np.int64))

    def add_image(
        self, pixels: UInt8[np.ndarray, "size size channels"], products: Int64[np.ndarray, "channels channels"]
    ) -> None:
        """Adds an image, with its ``colour_products``."""
        self.count += 1
        self.pixels += pixels
        self.products += products

    def add(self, other: PixelSums) -> None:
        """Adds the images of ``other``."""
        self.count += other.count
        self.pixels += other.pixels
        self.products += other.products

    def mean_image(self) -> Float[np.ndarray, "size size channels"]:
        """The mean over the images, in 0..255."""
        return self.pixels / self.count

    def colour_covariance(self) -> Float[np.ndarray, "channels channels"]:
        """The covariance of the channels over the pixels of all images, in 0..255."""
        mean = self.mean_image().mean(axis=(0, 1))
        return self.products / (self.count * self.pixels[..., 0].size) - np.outer(mean, mean)

    def save_statistics(self, path: Path) -> None:
        """Writes the mean image and the covariance as float32."""
        mean_image, covariance = self.mean_image().astype(np.float32), self.colour_covariance().astype(np.float32)
        np.savez(path, mean_image=mean_image, colour_covariance=covariance)

    def describe(self) -> dict[str, Any]:
        """The mean colour and the principal components of the colours, largest variance first."""
        variances, components = np.linalg.eigh(self.colour_covariance())
        return {
            "channel_means": self.mean_image().mean(axis=(0, 1)).tolist(),
            "colour_eigenvalues": variances[::-1].tolist(),
            "colour_eigenvectors": components.T[::-1].tolist(),
        }

    def to_json(self) -> dict[str, Any]:
        """The sums as values for JSON."""
        return {"count": self.count, "pixels": self.pixels.tolist(), "products": self.products.tolist()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> PixelSums:
        """The inverse of ``to_json``."""
        return cls(content["count"], *(np.array(content[name], np.int64) for name in ("pixels", "products")))
