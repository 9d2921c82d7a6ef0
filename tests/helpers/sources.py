"""Images in memory as a source of examples."""

from __future__ import annotations

from alexnet_jax.data.source import Example, Source


class Examples(Source):
    """A list of examples."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.examples[0]["image"].shape

    def name(self, index: int) -> str:
        return str(index)
