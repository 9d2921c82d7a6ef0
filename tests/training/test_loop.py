import gzip
import json
import os
import re
import signal

import jax
import pytest

from alexnet_jax.training import hooks, loop
from alexnet_jax.training.layouts import Layout
from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.helpers.command import alexnet

# twelve steps, evaluated after six, and a checkpoint every other step
FAST = ["--preset", "quickstart", "--epochs", 4, "--batch_size", 4]
FAST += ["--log_every", 1, "--evaluate_every", 2, "--checkpoint_every", 2]


@pytest.fixture
def compilations():
    """Grows by one entry whenever XLA compiles something or reads it from the cache."""
    events = []

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield events
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "steps_per_dispatch"), [(2, 1), (1, 2)])
def test_nothing_compiles_after_the_first_step_and_the_first_evaluation(
    photos, tmp_path, monkeypatch, compilations, devices, steps_per_dispatch
):
    rows = []

    class Watched(hooks.Pace):
        """Also checks that no measurement of the pace includes a compilation."""

        def restart(self):
            super().restart()
            self.compiled = len(compilations)

        def images_per_second(self, images):
            assert len(compilations) == self.compiled
            return super().images_per_second(images)

    append_metrics = RunDirectory.append_metrics

    def append(self, row):
        rows.append((row["split"], len(compilations)))
        append_metrics(self, row)

    monkeypatch.setattr(RunDirectory, "append_metrics", append)
    monkeypatch.setattr(loop, "Pace", Watched)
    options = ["--devices", devices, "--steps_per_dispatch", steps_per_dispatch, *FAST, "--log_every", 2]
    done = alexnet("train", "--workdir", tmp_path / "run", "--data.dataset", photos(), *options)
    assert done.returncode == 0, done.stderr
    assert [split for split, _ in rows] == [*["train"] * 3, "test", *["train"] * 3, "test"]
    counts = [count for _, count in rows]
    assert counts[0] > 0
    assert counts[0] == counts[2]  # steps and checkpoints before the first evaluation
    assert counts[4] == counts[-1]  # and all that follows it


@pytest.mark.slow
def test_steps_in_one_dispatch_give_the_same_run(photos, tmp_path):
    """Not bit for bit, because XLA compiles a loop of steps differently from a single step."""
    data, rows, digests = photos(per_class=14), {}, {}
    shared = ["--preset", "quickstart", "--data.dataset", data, "--epochs", 2, "--batch_size", 4, "--devices", 1]
    for name, options in {
        "single": ["--steps_per_dispatch", 1, "--log_every", 2],
        "pairs": ["--steps_per_dispatch", 2, "--log_every", 2],
        "other periods": ["--steps_per_dispatch", 2, "--log_every", 3, "--checkpoint_every", 3],
    }.items():
        run = tmp_path / name
        done = alexnet("train", "--workdir", run, *shared, *options)
        assert done.returncode == 0, done.stderr
        rows[name] = RunDirectory(run).read_metrics()
        digests[name] = re.search("SHA-256 (.*)", done.stdout)[1]
    for one, other in zip(rows["single"], rows["pairs"], strict=True):
        assert (one["step"], one["split"]) == (other["step"], other["split"])
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert one["learning_rate"] == other["learning_rate"]
    assert digests["pairs"] == digests["other periods"]


@pytest.mark.slow
def test_a_profile_holds_the_traced_steps_and_opens_in_perfetto(photos, tmp_path):
    arguments = ["train", "--workdir", tmp_path / "run", "--data.dataset", photos(), *FAST]
    done = alexnet(*arguments, "--steps_per_dispatch", 1, "--profile", tmp_path / "traces")
    assert done.returncode == 0, done.stderr
    written = re.search(r"^trace    (\S+perfetto_trace\.json\.gz), to open at", done.stdout, re.MULTILINE)[1]
    with gzip.open(written) as file:
        events = json.load(file)["traceEvents"]
    steps = {event["args"]["step_num"] for event in events if event.get("name") == "train"}
    assert steps == {"4", "5", "6", "7", "8"}
    assert list((tmp_path / "traces").rglob("*.xplane.pb"))


def test_a_stop_before_the_first_step_saves_nothing(photos, tmp_path, monkeypatch):
    def interrupt(*_):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Layout, "compile_train_steps", interrupt)
    done = alexnet("train", "--workdir", tmp_path / "run", "--data.dataset", photos(), *FAST)
    assert done.returncode == 130
    assert done.stdout.endswith("stopped before the first step: nothing was saved\n")
    assert not RunDirectory(tmp_path / "run").has_checkpoint
    assert RunDirectory(tmp_path / "run").read_metrics() == []
