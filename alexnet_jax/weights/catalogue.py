"""Published files of trained weights: where they are, and how to check them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded.

    Attributes:
        name: its name.
        place: the URL of the folder that it is in.
        algorithm: the hash function of ``digest``, by ``hashlib``'s name.
        digest: the first hexadecimal digits of the file's checksum, or all of them. Empty if it is not known.
    """

    name: str
    place: str
    algorithm: str = "sha256"
    digest: str = ""

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"{self.place.rstrip('/')}/{self.name}"


CATALOGUE = {
    # torchvision puts the first eight digits of a file's SHA-256 into its name.
    "torchvision": RemoteFile("alexnet-owt-7be5be79.pth", "https://download.pytorch.org/models", digest="7be5be79"),
    # The readmes of these models in BVLC/caffe have the SHA-1.
    "bvlc_alexnet": RemoteFile(
        "bvlc_alexnet.caffemodel",
        "http://dl.caffe.berkeleyvision.org",
        "sha1",
        "9116a64c0fbe4459d18f4bb6b56d647b63920377",
    ),
    "bvlc_reference_caffenet": RemoteFile(
        "bvlc_reference_caffenet.caffemodel",
        "http://dl.caffe.berkeleyvision.org",
        "sha1",
        "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
    ),
}
"""The files that names of trained weights stand for."""
