import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.training import hooks


def test_pace_measures_the_rate_and_the_fraction_spent_waiting(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(hooks.time, "monotonic", lambda: now[0])

    def batches():
        for seconds in (1.0, 2.0):
            now[0] += seconds
            yield seconds

    pace = hooks.Pace()
    for _ in pace.watch(batches()):
        now[0] += 4.5
    assert pace.images_per_second(24) == 2.0
    assert pace.input_wait() == 0.25
    pace.restart()
    now[0] += 1.0
    assert (pace.images_per_second(3), pace.input_wait()) == (3.0, 0.0)


def test_a_trace_needs_a_directory_and_enough_steps(tmp_path):
    hooks.Trace(tmp_path, 4, 12)
    with pytest.raises(UsageError, match=r"7 step\(s\) are left in this run, a trace needs 8, use more --epochs"):
        hooks.Trace(tmp_path, 5, 12)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match="it is a file; name a directory"):
        hooks.Trace(file, 0, 12)
