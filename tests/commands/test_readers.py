"""The commands that use a trained net change nothing in its run directory, while a run writes there."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from alexnet_jax.training.runs import checkpoint_writer
from alexnet_jax.training.runs.checkpoint import Checkpoints
from alexnet_jax.training.steps.state import abstract_train_state
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_config
from tests.helpers.run_directories import write_run


def snapshot(root: Path):
    """The names, times and contents of everything in a directory."""
    entries = sorted([root, *root.rglob("*")])
    return [
        (entry, entry.stat().st_mtime_ns, entry.is_file() and hashlib.sha256(entry.read_bytes()).hexdigest())
        for entry in entries
    ]


@pytest.fixture
def config(photos):
    """The config of a run on ``photos``, of two classes."""
    data = dataclasses.replace(tiny_config().data, dataset=str(photos()), train_examples=14)
    return tiny_config(data=data, model=dataclasses.replace(tiny_config().model, classes=2))


def test_readers_change_nothing_while_a_checkpoint_is_being_saved(config, tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", config, ("cat", "dog"))
    checkpoints = run / "checkpoints"
    state = Checkpoints(checkpoints, warn=pytest.fail).restore(abstract_train_state(config))
    reached, may_finish = threading.Event(), threading.Event()

    def wait_for_readers(unfinished):
        (unfinished.parent / f"{unfinished.name}.orbax-checkpoint-tmp").mkdir()
        reached.set()
        may_finish.wait()

    monkeypatch.setattr(checkpoint_writer, "sync_tree", wait_for_readers)
    with checkpoint_writer.CheckpointWriter(checkpoints) as writer:
        writer.save(state.replace(step=np.int32(9)))
        reached.wait()
        before = snapshot(run)
        try:
            for words in (
                ("evaluate", run),
                ("evaluate", run, "--checkpoint", "best"),
                ("predict", run, tmp_path / "photos" / "cat" / "0.png"),
                ("export", run, tmp_path / "net.stablehlo"),
                ("convert", run, tmp_path / "net.safetensors"),
                ("summary", run),
            ):
                done = alexnet(*words)
                assert done.returncode == 0, done.stderr
                assert snapshot(run) == before, words
        finally:
            may_finish.set()
    assert (checkpoints / "9").exists()


def test_a_config_that_does_not_fit_the_checkpoint_is_refused_by_every_command(config, tmp_path):
    run = write_run(tmp_path / "run", config, ("cat", "dog"))
    text = (run / "config.json").read_text()
    assert '"classes": 2' in text
    (run / "config.json").write_text(text.replace('"classes": 2', '"classes": 4'))
    for words in (
        ("evaluate", run),
        ("predict", run, tmp_path / "photos" / "cat" / "0.png"),
        ("export", run, tmp_path / "net.stablehlo"),
        ("convert", run, tmp_path / "net.safetensors"),
        ("summary", run),
        ("train", "--workdir", run),
    ):
        done = alexnet(*words)
        assert done.returncode == 1, words
        assert re.search(r"7: does not fit config.json, by which .*fc8/bias is float32\(4,\) and not", done.stderr)
    assert (run / "checkpoints" / "7").exists()
