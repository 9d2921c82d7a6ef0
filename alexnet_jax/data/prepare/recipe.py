"""The stored form of an image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from alexnet_jax.config import Resize
from alexnet_jax.errors import UsageError

Encoding = Literal["jpeg", "raw"]


@dataclass(frozen=True)
class Recipe:
    """How images are stored: squares in RGB."""

    image_size: int = 256
    """In pixels."""
    encoding: Encoding = "jpeg"
    """JPEG, or raw pixels, which need no decoding."""
    quality: int = 95
    """JPEG quality, 1 to 100, as in Pillow."""
    resize: Resize = "crop"
    """How images become squares (``decode_image``)."""

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise UsageError(f"image_size is {self.image_size}: use a number above 0")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"quality is {self.quality}: use 1 to 100")

    @property
    def bytes_per_image(self) -> int:
        """The bytes of an image: exact for raw pixels, an estimate for JPEG photos at quality 95."""
        pixels = self.image_size**2
        return 3 * pixels if self.encoding == "raw" else round(0.55 * pixels)

    def features(self, class_names: tuple[str, ...]) -> Any:
        """The features of the TFDS data set."""
        import tensorflow_datasets as tfds  # slow to import

        shape = (self.image_size, self.image_size, 3)
        if self.encoding == "raw":  # the default encoding, a list of numbers, is slow to read
            image = tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding=tfds.features.Encoding.BYTES)
        else:
            image = tfds.features.Image(shape=shape, encoding_format="jpeg")
        label = tfds.features.ClassLabel(names=list(class_names))
        return tfds.features.FeaturesDict({"file_name": tfds.features.Text(), "image": image, "label": label})

    def serialize(self, name: str, pixels: UInt8[np.ndarray, "size size 3"], label: int, features: Any) -> bytes:
        """The serialized record of an image."""
        from tensorflow_datasets.core.example_serializer import ExampleSerializer  # slow to import

        image = pixels if self.encoding == "raw" else _as_jpeg(pixels, self.quality)
        encoded = features.encode_example({"file_name": name, "image": image, "label": label})
        example = ExampleSerializer(features.get_serialized_info()).get_tf_example(encoded)
        return example.SerializeToString(deterministic=True)  # TFDS does not fix the order of the features


def _as_jpeg(pixels: UInt8[np.ndarray, "size size 3"], quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()
