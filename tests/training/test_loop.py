"""How a run spends its time: nothing compiles twice, clocks count steps alone, traces can be had."""

import gzip
import json
import re

import jax
import pytest

from alexnet_jax.training import hooks, loop
from alexnet_jax.training.parallel import Layout
from alexnet_jax.training.run_directory import RunDirectory
from tests.helpers.command import alexnet

# twelve steps, evaluated after six, and a checkpoint every other step
FAST = ["--epochs", 4, "--batch_size", 4, "--log_every", 1, "--evaluate_every", 2, "--checkpoint_every", 2]


@pytest.fixture
def compilations():
    """Grows by one entry whenever XLA compiles something or reads it from the cache."""
    seen = []

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize(("devices", "together"), [(1, 1), (2, 1), (1, 2)])
def test_after_the_first_step_and_the_first_evaluation_nothing_compiles(
    photos, tmp_path, monkeypatch, compilations, devices, together
):
    rows = []

    def append(self, row):
        rows.append((row["split"], len(compilations)))

    monkeypatch.setattr(RunDirectory, "append_metrics", append)
    monkeypatch.setattr(loop, "draw_curves", lambda *_: None)  # it has no rows to draw
    ways = ["--devices", devices, "--steps_per_dispatch", together, *FAST, "--log_every", 2]
    done = alexnet("train", "--workdir", tmp_path / "run", "--data.dataset", photos(), *ways)
    assert done.returncode == 0, done.stderr
    assert [split for split, _ in rows] == [*["train"] * 3, "test", *["train"] * 3, "test"]
    counts = [count for _, count in rows]
    assert counts[0] > 0
    assert counts[0] == counts[2]  # steps and checkpoints before the first evaluation
    assert counts[4] == counts[-1]  # and all that follows it


def test_no_clock_counts_a_compilation(photos, tmp_path, monkeypatch, compilations):
    class Watched(hooks.Pace):
        def restart(self):
            super().restart()
            self.compiled = len(compilations)

        def images_per_second(self, images):
            assert len(compilations) == self.compiled
            return super().images_per_second(images)

    monkeypatch.setattr(loop, "Pace", Watched)
    done = alexnet("train", "--workdir", tmp_path / "run", "--data.dataset", photos(), *FAST)
    assert done.returncode == 0, done.stderr
    assert compilations


def test_steps_go_together_where_nothing_is_due_between_them_and_a_run_is_the_same(photos, tmp_path, monkeypatch):
    """Twelve steps, six an epoch with an evaluation, a checkpoint every four, a line every three."""
    sent = []
    train_steps = Layout.train_steps

    def counted(self, state, batches, key):
        sent.append(len(batches))
        return train_steps(self, state, batches, key)

    monkeypatch.setattr(Layout, "train_steps", counted)
    data, rows = photos(per_class=14), {}
    periods = ["--epochs", 2, "--batch_size", 4, "--log_every", 3, "--checkpoint_every", 4, "--devices", 1]
    for together, dispatches in ((1, [1] * 12), (2, [2, 1, 1, 2, 2, 1, 1, 2])):
        sent.clear()
        run = tmp_path / str(together)
        arguments = ["train", "--workdir", run, "--data.dataset", data, *periods, "--steps_per_dispatch", together]
        done = alexnet(*arguments)
        assert done.returncode == 0, done.stderr
        assert sent == dispatches
        rows[together] = RunDirectory(run).read_metrics()
    for one, other in zip(*rows.values(), strict=True):
        assert (one["step"], one["split"]) == (other["step"], other["split"])
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert one["learning_rate"] == other["learning_rate"]


def test_pace_tells_the_rate_and_the_share_that_was_waited(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(hooks.time, "monotonic", lambda: now[0])

    def batches():
        for seconds in (1.0, 2.0):
            now[0] += seconds
            yield seconds

    clock = hooks.Pace()
    for _ in clock.watch(batches()):
        now[0] += 4.5
    assert clock.images_per_second(24) == 2.0
    assert clock.input_wait() == 0.25
    clock.restart()
    now[0] += 1.0
    assert (clock.images_per_second(3), clock.input_wait()) == (3.0, 0.0)


def test_the_display_tells_of_waiting_where_there_is_much(photos, tmp_path, monkeypatch):
    for share in (0.05, 0.25):
        monkeypatch.setattr(hooks.Pace, "input_wait", lambda self, share=share: share)
        done = alexnet("train", "--workdir", tmp_path / str(share), "--data.dataset", photos(str(share)), *FAST)
        assert ("waiting for images 25% of the time" in done.stdout) == (share > 0.1)
        assert {row.get("input_wait") for row in RunDirectory(tmp_path / str(share)).read_metrics()} == {share, None}


def test_a_profile_holds_the_steps_it_traced_and_perfetto_can_open_it(photos, tmp_path):
    data = photos()
    arguments = ["train", "--workdir", tmp_path / "run", "--data.dataset", data, *FAST]
    done = alexnet(*arguments, "--profile", tmp_path / "traces")
    assert done.returncode == 0, done.stderr
    written = re.search(r"^trace    (\S+perfetto_trace\.json\.gz), to open at", done.stdout, re.MULTILINE)[1]
    with gzip.open(written) as file:
        events = json.load(file)["traceEvents"]
    steps = {event["args"]["step_num"] for event in events if event.get("name") == "train"}
    assert steps == {"4", "5", "6", "7", "8"}
    assert list((tmp_path / "traces").rglob("*.xplane.pb"))
    again = alexnet(*arguments, "--profile", tmp_path / "traces")
    assert again.returncode == 2
    assert "0 step(s) are left of this run and a trace needs 8, give it more --epochs" in again.stderr
    refused = alexnet("train", "--workdir", tmp_path / "new", "--data.dataset", data, *FAST, "--profile", written)
    assert refused.returncode == 2
    assert "this is a file; name a folder" in refused.stderr
