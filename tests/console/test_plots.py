import pytest

from alexnet_jax.console.plots import draw_curves, merge_short_rows
from tests.helpers.nets import tiny_config


def row(step, loss, **more):
    return {"step": step, "epoch": step / 100, "split": "train", "loss": loss, "top1_error": loss / 8} | more


def test_a_short_row_is_averaged_with_the_next():
    """A run that stopped after step 52 and was resumed."""
    rows = [row(50, 2.0, steps=50), row(52, 9.0, steps=2), row(100, 1.0, steps=48), row(150, 0.5, steps=50)]
    merged = merge_short_rows(rows, 50)
    assert [(point["step"], point["steps"]) for point in merged] == [(50, 50), (100, 50), (150, 50)]
    assert merged[1]["loss"] == pytest.approx((2 * 9.0 + 48 * 1.0) / 50)
    assert merged[1]["top1_error"] == pytest.approx(merged[1]["loss"] / 8)


def test_a_short_last_row_joins_the_row_before():
    merged = merge_short_rows([row(50, 2.0, steps=50), row(60, 1.0, steps=10)], 50)
    assert [(point["step"], point["steps"]) for point in merged] == [(60, 60)]
    assert merged[0]["loss"] == pytest.approx((50 * 2.0 + 10 * 1.0) / 60)


def test_full_rows_and_rows_of_older_runs_stay_as_they_are():
    full = [row(50, 2.0, steps=50), row(100, 1.0, steps=50)]
    assert merge_short_rows(full, 50) == full
    old = [row(50, 2.0), row(52, 9.0)]
    assert [point["loss"] for point in merge_short_rows(old, 50)] == [2.0, 9.0]
    assert merge_short_rows([], 50) == []
    assert merge_short_rows([row(4, 2.0, steps=4)], 50) == [row(4, 2.0, steps=4)]


def test_curves_of_a_stopped_run_are_drawn(tmp_path):
    rows = [row(1, 2.0, steps=1, learning_rate=0.1), row(3, 1.0, steps=2, learning_rate=0.01)]
    draw_curves([*rows, row(3, 1.5) | {"split": "test"}], tiny_config(log_every=2), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_curves_without_rows_are_drawn(tmp_path):
    draw_curves([], tiny_config(), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()
