import pytest

from alexnet_jax.training.runs.goodput import Goodput, Start, goodput, next_start
from alexnet_jax.training.runs.run_directory import RunDirectory


def row(step, time, steps=10, speed=40.0, split="train"):
    return {"step": step, "split": split, "time": time, "steps": steps, "images_per_second": speed}


def test_the_first_start_of_a_run_has_nothing_before_it():
    assert next_start([], [row(10, 50.0)], 100.0) == Start(100.0, 100.0)


@pytest.mark.parametrize(
    ("rows", "last_seen"), [([], 100.0), ([row(10, 120.0), row(20, 140.0)], 140.0), ([row(10, 500.0)], 200.0)]
)
def test_a_process_was_last_seen_when_it_wrote_a_row_or_began(rows, last_seen):
    """But not in the future, as the clock of another host may say."""
    assert next_start([Start(100.0, 100.0)], rows, 200.0) == Start(200.0, last_seen)


def test_goodput_is_the_time_in_kept_steps():
    """Killed at 160 seconds after its last row at 150; the steps after the checkpoint of step 20 were taken again."""
    starts = [Start(100.0, 100.0), Start(170.0, 150.0)]
    kept = [row(10, 120.0), row(20, 140.0), row(30, 190.0), row(30, 195.0, split="test")]
    found = goodput(starts, kept, batch_size=48, now=200.0)
    assert found == Goodput(in_steps=36.0, running=80.0, down=20.0, starts=2)
    assert str(found) == "45.0% of 0:01:20 in steps that were kept, 2 starts; 36.0% with the 0:00:20 between them"


def test_one_start_has_no_pauses():
    assert str(goodput([Start(0.0, 0.0)], [row(10, 15.0)], 48, 3600.0)) == "0.3% of 1:00:00 in steps that were kept"


def test_steps_of_earlier_versions_have_no_times_and_do_not_count():
    old = {name: value for name, value in row(10, 0.0).items() if name != "time"}
    assert goodput([], [old], 48, 200.0) is None
    assert (
        goodput([Start(100.0, 100.0)], [old, row(20, 140.0), row(30, 150.0) | {"time": "x"}], 48, 200.0).in_steps == 12
    )


@pytest.mark.parametrize("start", [Start(300.0, 100.0), Start(float("nan"), 100.0), Start(150.0, float("-inf"))])
def test_damaged_starts_have_no_goodput(start):
    assert goodput([Start(100.0, 100.0), start], [row(10, 150.0)], 48, 200.0) is None


@pytest.mark.parametrize("damage", [{"steps": "x"}, {"images_per_second": None}, {"images_per_second": 0.0}])
def test_a_damaged_row_has_no_time(damage):
    assert goodput([Start(100.0, 100.0)], [row(10, 150.0) | damage], 48, 200.0).in_steps == 0


def test_starts_are_recorded_and_a_damaged_file_is_none(tmp_path):
    run = RunDirectory(tmp_path)
    run.record_start(100.0)
    run.record_start(200.0)
    assert run.read_starts() == [Start(100.0, 100.0), Start(200.0, 100.0)]
    for text in ("{", "[3]", '[{"time": 3}]', '[{"time": "a", "last_seen": 3}]'):
        run.starts.write_text(text)
        assert run.read_starts() == []
