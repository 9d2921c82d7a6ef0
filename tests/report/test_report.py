"""``alexnet report``: the page, also in a browser."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.identity import identify
from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.run_directories import write_run

HEADINGS = [
    "The run",
    "Curves",
    "Kernels of conv1",
    "Test images, their classes and their neighbours",
    "The worst mistakes",
    "Confusion matrix",
    "Where the time went",
]
CLASSES = ("<cat>", "dog & co")


@pytest.fixture
def run(photos, tmp_path):
    """A run on random photos, with class names that HTML has to escape."""
    folder = photos(per_class=6, classes=CLASSES, splits=("train", "test"))
    data = dataclasses.replace(tiny_config().data, dataset=str(folder), train_examples=12)
    root = write_run(tmp_path / "run", tiny_config(data=data, model=tiny_model("paper", classes=2)), CLASSES)
    row = {"loss": 0.7, "top1_error": 0.5, "top5_error": 0.0, "learning_rate": 0.01, "images_per_second": 50.0}
    for step, split in ((1, "train"), (1, "test")):
        RunDirectory(root).append_metrics({"step": step, "epoch": float(step), "split": split, "steps": 1, **row})
    return root


class Page(HTMLParser):
    """The headings, the sources of images and the addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.images, self.addresses, self._tag = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._tag = tag
        values = dict(attributes)
        if tag == "img":
            self.images.append(values["src"])
        self.addresses += [values[name] for name in ("src", "href", "xlink:href") if name in values]

    def handle_data(self, text):
        if self._tag == "h2" and text.strip():
            self.headings.append(text.strip())


def test_the_page_has_all_parts_and_needs_no_other_file(run):
    done = alexnet("report", run, "--images", 3)
    assert done.returncode == 0, done.stderr
    text = (run / "report.html").read_text()
    page = Page(text)
    assert page.headings == HEADINGS
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert len(page.images) >= 3 * 7  # each with six neighbours
    assert html.escape(CLASSES[0]) in text
    assert CLASSES[0] not in text
    errors = re.search(r"<div>([\d.]+)%<span>top-1 error", text)
    evaluated = alexnet("evaluate", run).stdout
    assert f"top-1 error {errors[1]}%" in evaluated
    assert "top-5" not in text


def test_the_page_is_replaced_and_no_other_file_is(run, tmp_path):
    (run / "report.html").write_text("old")
    (tmp_path / "mine.html").write_text("mine")
    done = alexnet("report", run, "--out", tmp_path / "mine.html")
    assert (done.returncode, (tmp_path / "mine.html").read_text()) == (2, "mine")
    assert alexnet("report", run, "--neighbours_from", 5).returncode == 0
    assert "5 of the 12 training images" in (run / "report.html").read_text()


def test_changed_data_are_refused(run):
    config = RunDirectory(run).read_config()
    RunDirectory(run).data.write_text(identify(open_dataset(config.data, 3)).to_json())
    added = Path(config.data.dataset, "train", "bird")
    added.mkdir()
    shutil.copy(next(Path(config.data.dataset, "train", CLASSES[0]).iterdir()), added / "0.png")
    done = alexnet("report", run)
    assert done.returncode == 2
    assert "the data changed since the run" in done.stderr
    assert "bird" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--images", 0], "--images is 0: use a number above 0"),
        (["run", "--neighbours_from", -1], "--neighbours_from is -1: use a number above 0"),
        (["run", "--out", "page.txt"], "--out is page.txt: use a name that ends in .html"),
        (["file.safetensors"], "file.safetensors: is not a run directory; only runs have a report"),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.safetensors").touch()
    done = alexnet("report", *arguments)
    assert (done.returncode, done.stderr) == (2, f"alexnet: error: {message}\n")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
@pytest.mark.parametrize("width", [1200, 400])
def test_a_browser_finds_no_error_and_no_missing_picture(run, tmp_path, width):
    assert alexnet("report", run, "--images", 3).returncode == 0
    probe = """<script>addEventListener("load", () => {
        const images = [...document.images].map((image) => image.naturalWidth);
        const plots = [...document.querySelectorAll("svg")].map((plot) => plot.getBoundingClientRect().width);
        document.body.dataset.found = JSON.stringify([images, plots, document.documentElement.scrollWidth]);
    })</script>"""
    page = tmp_path / "page.html"
    page.write_text((run / "report.html").read_text().replace("</body>", f"{probe}</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},2000"]
    done = subprocess.run(
        ["chromium", *options, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    found = html.unescape(re.search(r'data-found="([^"]+)"', done.stdout)[1])
    images, plots, page_width = json.loads(found)
    assert len(images) >= 3 * 7
    assert min(images) > 0
    assert len(plots) == 3
    assert min(plots) > 100
    assert page_width <= max(width, 500)  # Chromium's smallest window is 500 pixels wide
    assert Page(done.stdout).headings == HEADINGS
