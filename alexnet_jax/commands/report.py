"""``alexnet report``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from alexnet_jax.commands.parsing import parse
from alexnet_jax.config.checks import check
from alexnet_jax.errors import UsageError
from alexnet_jax.stores.output import check_output, output
from alexnet_jax.stores.store import shown
from alexnet_jax.training.runs.run_directory import Which

if TYPE_CHECKING:
    from alexnet_jax.report.page import Page


@dataclass(frozen=True)
class ReportArguments:
    """Write a page that shows what a run learned: its curves, kernels, predictions and mistakes."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run directory."""
    out: Path | None = None
    """The HTML file to write. Default: report.html in the run directory, which is replaced."""
    checkpoint: Which = "latest"
    """The checkpoint: the latest, that of a step, or the one with the smallest error on validation images, if the run
    has some."""
    images: int = 8
    """The number of test images with their predictions and nearest training images."""
    neighbours_from: int = 20_000
    """The largest number of training images to search for the nearest ones. If there are more, this many are drawn at
    random."""
    devices: int | None = None
    """The number of devices. Default: one on a CPU, otherwise all."""


def main(arguments: list[str]) -> int:
    """Writes the page."""
    parsed = parse(ReportArguments, arguments, "report")
    check(parsed.images > 0, "--images", parsed.images, "use a number above 0")
    check(parsed.neighbours_from > 0, "--neighbours_from", parsed.neighbours_from, "use a number above 0")
    if parsed.out is not None and parsed.out.suffix != ".html":
        raise UsageError(f"--out is {parsed.out}: use a name that ends in .html")
    if parsed.out is not None and parsed.out.exists():
        raise UsageError(f"{parsed.out}: already exists; remove it, or name another file")
    if parsed.run.exists() and not parsed.run.is_dir():
        raise UsageError(f"{parsed.run}: is not a run directory; only runs have a report")
    if parsed.out is not None:
        check_output(parsed.out)
    from alexnet_jax.files import replace_file
    from alexnet_jax.report.page import render

    page = render(_page(parsed))
    out = parsed.out or parsed.run / "report.html"
    with output(out, is_new=parsed.out is not None) as file:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, page)
    print(f"written  {shown(out)}, {len(page.encode()):,} bytes; open it in a browser")
    return 0


def _page(parsed: ReportArguments) -> Page:
    from rich.console import Console

    from alexnet_jax.commands.trained import load_net, naming
    from alexnet_jax.console.progress import CountDisplay
    from alexnet_jax.data.dataset import open_dataset
    from alexnet_jax.data.identity import identify
    from alexnet_jax.report.contents import make_page
    from alexnet_jax.training.layouts import choose_layout
    from alexnet_jax.training.runs.run_directory import RunDirectory
    from alexnet_jax.weights.read import local_net

    weights = load_net(parsed.run, parsed.checkpoint, None, devices=parsed.devices)
    data = open_dataset(weights.config.data, weights.config.model.channels)
    run = RunDirectory(local_net(parsed.run, parsed.checkpoint))
    change = run.data_change(identify(data))
    if change is not None:
        raise UsageError(
            f"{data.where}: the data changed since the run in {shown(parsed.run)} started: {change}; restore them, "
            "because the report shows the images of the run"
        )
    layout = choose_layout(weights.config, parsed.devices)
    with naming(parsed.run), CountDisplay(Console(stderr=True)) as display:
        return make_page(run, weights, data, layout, parsed.images, parsed.neighbours_from, display.advance)
