"""The read-out bench: this project alone, and the task that the peer gets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from alexnet_jax.bench import readout
from alexnet_jax.bench.readout import FORMS, OURS, PEER, ReadoutReport, bench_readout
from alexnet_jax.bench.throughput import Measurement, Throughput
from alexnet_jax.errors import UsageError
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_model


def test_this_project_alone_is_measured(tmp_path):
    report = bench_readout(tiny_model("single_tower"), ["pool1", "features.12"], 3, 2, None, tmp_path)
    (own,) = report.measurements
    assert own.throughput.images_per_second > 0
    assert (report.ratio, report.differences) == (None, {})


def test_the_peer_gets_every_module_and_its_errors_are_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(readout, "run_peer", lambda command: '{"images_per_second": 1.0, "images_per_cpu_second": 2.0}')
    monkeypatch.setattr(readout, "_compare", lambda *files: {})
    report = bench_readout(tiny_model("torchvision"), ["fc7"], 2, 1, "python", tmp_path)
    assert [(each.pipeline, each.stored) for each in report.measurements] == [(OURS, ""), *((PEER, f) for f in FORMS)]
    task = json.loads((tmp_path / "task.json").read_text())
    names = [name for name, _, _ in task["modules"]]
    assert names[names.index("pool5") + 1] == "flatten"
    with np.load(tmp_path / "weights.npz") as weights:
        assert weights["fc6.weight"].shape == (16, 8)  # one pixel of eight channels is left


def test_the_ratio_is_to_the_faster_form():
    speeds = {(OURS, ""): 30.0, (PEER, "NCHW"): 10.0, (PEER, "channels_last"): 15.0}
    measured = [Measurement(*name, 1, Throughput(speed, speed)) for name, speed in speeds.items()]
    assert ReadoutReport(measured, {}, 0).ratio == 2.0


def test_a_net_that_the_peer_lacks_is_refused(tmp_path):
    with pytest.raises(UsageError, match="conv1: PyTorch has no such module"):
        bench_readout(tiny_model("paper"), ["fc7"], 2, 1, "python", tmp_path)


@pytest.mark.parametrize(("words", "named"), [("--images 0", "--images"), ("--variant nothing", "nothing")])
def test_wrong_options_are_one_line(words, named):
    done = alexnet("bench", "features", *words.split())
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert named in done.stderr
