"""``alexnet similarity``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console

from alexnet_jax.commands.json_output import (
    STDOUT,
    JsonPath,
    check_file_path,
    check_json_path,
    check_picture_path,
    write_json,
)
from alexnet_jax.commands.parsing import parse
from alexnet_jax.config.checks import check
from alexnet_jax.errors import UsageError
from alexnet_jax.stores.output import output
from alexnet_jax.stores.store import shown

if TYPE_CHECKING:
    from alexnet_jax.readout.feature_file import FeatureFile
    from alexnet_jax.readout.similarity import Compared, Distance


@dataclass(frozen=True)
class SimilarityArguments:
    """Compare two sets of features of the same images, layer by layer.

    RSA correlates the distances of all pairs of images, by Spearman's and Kendall's coefficients.

    Linear CKA compares the features directly.
    """

    features_a: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FEATURES_A")]
    """A file of `alexnet features`, or any .h5, .npz or .mat file with an array (images, ...) for each layer."""
    features_b: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FEATURES_B")]
    """The other file."""
    layers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LAYER ...")] = ()
    """The arrays to compare; A=B compares two of different names. Default: those that both files have."""
    images: int = 1000
    """The largest number of images. If there are more, this many are drawn at random."""
    seed: int = 0
    """The random seed of the choice of images."""
    distance: Literal["correlation", "euclidean", "cosine"] = "correlation"
    """The distance of two images: 1 - Pearson's correlation of their features, Euclidean, or 1 - cosine."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.png")] = Path("similarity.png")
    """The picture to write: the three measures by layer, and the dissimilarity matrices."""
    matrices: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npz")] = None
    """Also write the dissimilarity matrices, as A/LAYER and B/LAYER, and the rows of their images."""
    json: JsonPath = None
    """Also write the table to a JSON file; - prints the JSON instead of the table."""


def main(arguments: list[str]) -> int:
    """Compares the layers, prints a table and draws it."""
    parsed = parse(SimilarityArguments, arguments, "similarity")
    _check(parsed)
    from alexnet_jax.console.progress import CountDisplay
    from alexnet_jax.readout.feature_file import local_features, open_features
    from alexnet_jax.readout.pictures import draw_similarity
    from alexnet_jax.readout.similarity import sample_rows

    a, b = open_features(local_features(parsed.features_a)), open_features(local_features(parsed.features_b))
    _check_same_images(a, b)
    pairs = _pairs(parsed.layers, a, b)
    rows = sample_rows(a.count, parsed.images, parsed.seed)
    with CountDisplay(Console(stderr=parsed.json == STDOUT), unit="features") as display:
        arrays = {name: (a.layers[one], b.layers[other]) for name, (one, other) in pairs.items()}
        found = _compare(arrays, rows, parsed.distance, display.advance)
    names = shown(parsed.features_a), shown(parsed.features_b)
    with output(parsed.out, is_new=False) as picture:
        draw_similarity(found, *names, parsed.distance, picture)
    if parsed.matrices is not None:
        with output(parsed.matrices, is_new=False) as file:
            _write_matrices(file, found, rows)
    result = {
        "a": names[0],
        "b": names[1],
        "images": len(rows),
        "of": a.count,
        "distance": parsed.distance,
        "picture": shown(parsed.out),
        "layers": [
            {"layer": name} | {key: _number(value) for key, value in asdict(each.similarity).items()}
            for name, each in found.items()
        ],
    }
    if write_json(result, parsed.json):
        _print(result, parsed)
    return 0


def _check(parsed: SimilarityArguments) -> None:
    check(parsed.images >= 3, "--images", parsed.images, "use 3 or more")
    check(0 <= parsed.seed < 2**32, "--seed", parsed.seed, "use 0 to 4294967295")
    check_picture_path(parsed.out)
    check_json_path(parsed.json)
    if parsed.matrices is None:
        return
    if parsed.matrices.suffix != ".npz":
        raise UsageError(f"--matrices is {parsed.matrices}: name a file ending in .npz")
    check_file_path("--matrices", parsed.matrices)


def _check_same_images(a: FeatureFile, b: FeatureFile) -> None:
    """Checks the number of rows and, where both files have one, the order files."""
    if a.count != b.count:
        raise UsageError(f"{a.path} has {a.count:,} rows and {b.path} {b.count:,}: read the same images with both nets")
    if a.count < 3:
        raise UsageError(f"{a.path} has {a.count} rows: read the features of three images or more")
    if not a.order or not b.order:
        return
    for row, (one, other) in enumerate(zip(a.order, b.order, strict=True)):
        if one != other:
            raise UsageError(
                f"{a.path} and {b.path} have other images: row {row} is {one} in one and {other} in the other; "
                "read the same images with both nets"
            )


def _pairs(asked: tuple[str, ...], a: FeatureFile, b: FeatureFile) -> dict[str, tuple[str, str]]:
    """The arrays of both files to compare, by the name of the pair."""
    from alexnet_jax.errors import unknown_name

    if not asked:
        common = {name: (name, name) for name in a.layers if name in b.layers}
        if not common:
            raise UsageError(
                f"{a.path} and {b.path} have no layer in common: name pairs with --layers, such as "
                f"{next(iter(a.layers))}={next(iter(b.layers))}"
            )
        return common
    pairs = {name: (name.partition("=")[0], name.rpartition("=")[2]) for name in asked}
    for names in pairs.values():
        for name, file in zip(names, (a, b), strict=True):
            if name not in file.layers:
                raise UsageError(f"{file.path}: {unknown_name('layer', name, file.layers)}")
    return pairs


def _compare(
    pairs: dict[str, tuple[Any, Any]], rows: Any, distance: Distance, advance: Callable[[int, int], None]
) -> dict[str, Compared]:
    """Compares the layers. ``advance`` is called with the features that are done and their number."""
    from alexnet_jax.readout.similarity import compare_layers

    expected = sum(math.prod(array.shape[1:]) for pair in pairs.values() for array in pair)
    done = 0

    def on_block(features: int) -> None:
        nonlocal done
        done += features
        advance(done, expected)

    return {name: compare_layers(*pair, rows, distance, on_block) for name, pair in pairs.items()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _write_matrices(path: Path, found: dict[str, Compared], rows: Any) -> None:
    import io

    import numpy as np

    from alexnet_jax.files import replace_file

    arrays = {f"A/{name}": each.a for name, each in found.items()}
    arrays |= {f"B/{name}": each.b for name, each in found.items()}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, rows=rows, **arrays)
    replace_file(path, content.getvalue())


def _print(result: dict[str, Any], parsed: SimilarityArguments) -> None:
    from alexnet_jax.console.progress import say
    from alexnet_jax.console.tables import plain_table

    console = Console()
    sampled = "" if result["images"] == result["of"] else f" of {result['of']:,}, drawn with seed {parsed.seed}"
    say(console, f"images    {result['images']:,}{sampled}")
    say(console, f"distance  {result['distance']}")
    table = plain_table("layer", "Spearman", "Kendall", "CKA")
    for row in result["layers"]:
        numbers = ("-" if row[key] is None else f"{row[key]:.3f}" for key in ("spearman", "kendall", "cka"))
        table.add_row(row["layer"], *numbers)
    console.print(table)
    if any(row["spearman"] is None for row in result["layers"]):
        say(console, "note      -: not defined, because all distances are equal in one of the files")
    also = "" if parsed.matrices is None else f", {shown(parsed.matrices)}"
    say(console, f"written   {result['picture']}{also}")
