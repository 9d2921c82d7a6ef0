"""``alexnet summary`` and ``alexnet variants``."""

from __future__ import annotations

import json
import re

import pytest

from alexnet_jax.variants import VARIANTS
from tests.helpers.command import alexnet


def rows_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_summary_shows_windows_shapes_parameters_and_macs():
    rows = rows_of(alexnet("summary", "paper").stdout)
    assert ["conv1", "11x11", "4", "1", "55x55x96", "34,944", "105,415,200"] in rows
    assert ["conv2", "5x5", "1", "2", "27x27x256", "307,456", "223,948,800"] in rows
    assert ["pool5", "3x3", "2", "6x6x256"] in rows
    assert ["norm1", "55x55x96"] in rows
    assert ["fc6", "4096", "37,752,832", "37,748,736"] in rows
    assert ["60,965,224", "parameters,", "724,406,816", "MACs"] in rows
    assert ["parameters", "232.56", "MiB"] in rows


def test_summary_json_holds_the_table():
    found = json.loads(alexnet("summary", "paper", "--json", "-").stdout)
    assert (found["variant"], found["parameters"], found["macs"]) == ("paper", 60_965_224, 724_406_816)
    assert found["rows"][0] == {
        "name": "conv1",
        "shape": [55, 55, 96],
        "parameters": 34_944,
        "macs": 105_415_200,
        "kernel": 11,
        "stride": 4,
        "groups": 1,
    }


def test_variants_are_listed_with_their_sizes():
    rows = rows_of(alexnet("variants").stdout)
    assert [row[0] for row in rows if row[0] in VARIANTS] == list(VARIANTS)
    assert next(row[:4] for row in rows if row[0] == "original") == ["original", "224", "60.97", "724.4"]


def test_variants_json_holds_the_table(tmp_path):
    done = alexnet("variants", "--json", tmp_path / "out.json")
    found = {net["variant"]: net for net in json.loads((tmp_path / "out.json").read_text())}
    assert list(found) == list(VARIANTS)
    assert (found["paper"]["parameters"], found["d2l"]["channels"]) == (60_965_224, 1)
    assert done.stdout


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("arguments", [["variants"], ["summary", "original"], ["summary", "single_tower"]])
def test_tables_fit_the_terminal(monkeypatch, width, arguments):
    monkeypatch.setenv("COLUMNS", str(width))
    text = alexnet(*arguments).stdout
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_an_unknown_variant_suggests_similar_names():
    done = alexnet("summary", "papr")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"alexnet: error: unknown variant 'papr': did you mean paper\?\n", done.stderr)
