"""Writes alexnet_jax/data/synset_names.txt, a name for each of the 1,000 synsets of ILSVRC2012.

    pip download --no-deps --dest WHEELS torchvision==0.29.1 timm==1.0.31
    python -m alexnet_jax.data.make_synset_names WHEELS

The names are torchvision's (BSD-3-Clause): WordNet's first words for each synset, except for two that would otherwise
share their name with another. torchvision lists them by label. The script checks each name against the words that timm
(Apache-2.0) lists by synset id, and the order of the ids against TFDS's labels.
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from zipfile import ZipFile

import tensorflow_datasets as tfds

OUTPUT = Path(__file__).parent / "synset_names.txt"
DISAMBIGUATED = {"n02012849": "crane bird", "n03710721": "maillot tank suit"}
HEADER = (
    "# A name for each synset of ILSVRC2012, by its WordNet id, in the order of the labels.\n"
    "# Written by make_synset_names.py from torchvision 0.29.1 (BSD-3-Clause); the words are WordNet's.\n"
)


def read_wheel(wheels: Path, package: str, member: str) -> str:
    """A text file inside the wheel of ``package``."""
    (wheel,) = wheels.glob(f"{package}-*.whl")
    return ZipFile(wheel).read(member).decode()


def torchvision_names(wheels: Path) -> list[str]:
    """The names in the order of the labels."""
    module = ast.parse(read_wheel(wheels, "torchvision", "torchvision/models/_meta.py"))
    assigned = {ast.unparse(node.targets[0]): node.value for node in module.body if isinstance(node, ast.Assign)}
    names: list[str] = ast.literal_eval(assigned["_IMAGENET_CATEGORIES"])
    return names


def wordnet_words(wheels: Path) -> dict[str, str]:
    """The words for each synset id."""
    lines = read_wheel(wheels, "timm", "timm/data/_info/imagenet_synset_to_lemma.txt").splitlines()
    return dict(line.split("\t") for line in lines)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", type=Path)
    wheels = parser.parse_args().wheels
    synsets = tfds.core.tfds_path("datasets/imagenet2012/labels.txt").read_text().split()
    names, words = torchvision_names(wheels), wordnet_words(wheels)
    assert synsets == sorted(synsets)
    assert len(set(names)) == len(synsets) == 1000
    for synset, name in zip(synsets, names, strict=True):
        assert name == DISAMBIGUATED.get(synset, words[synset].split(", ")[0]), (synset, name, words[synset])
    OUTPUT.write_text(HEADER + "".join(f"{synset}\t{name}\n" for synset, name in zip(synsets, names, strict=True)))


if __name__ == "__main__":
    main()
