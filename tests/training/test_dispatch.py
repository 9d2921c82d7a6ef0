import numpy as np
import pytest

from alexnet_jax.config import DataConfig
from alexnet_jax.training.dispatch import dispatches, evaluates_after, logs_after, saves_after
from tests.helpers.nets import tiny_config
from tests.helpers.sources import Examples

SOURCE = Examples([{"image": np.full((72, 72, 3), index, np.uint8), "label": np.int32(index)} for index in range(24)])


def config_of(steps_per_dispatch):
    """Twelve steps, an evaluation every six, a checkpoint every four, a row of metrics every three."""
    return tiny_config(
        data=DataConfig(image_size=72, train_examples=24),
        batch_size=4,
        epochs=2,
        log_every=3,
        checkpoint_every=4,
        steps_per_dispatch=steps_per_dispatch,
    )


@pytest.mark.parametrize(
    ("size", "groups"), [(1, [1] * 12), (2, [2, 1, 1, 2, 2, 1, 1, 2]), (3, [3, 1, 1, 1, 1, 1, 1, 3])]
)
def test_steps_are_grouped_unless_something_is_due_between_them(size, groups):
    assert [len(batches) for _, batches in dispatches(SOURCE, config_of(size), 0)] == groups


def test_groups_hold_the_batches_of_single_steps():
    def labels(size):
        return [batch["label"] for _, batches in dispatches(SOURCE, config_of(size), 0) for batch in batches]

    np.testing.assert_array_equal(labels(2), labels(1))


def test_a_resumed_run_groups_its_steps_as_an_uninterrupted_one():
    steps = [step for step, _ in dispatches(SOURCE, config_of(2), 0)]
    for start in (2, 3, 4, 8):
        assert [step for step, _ in dispatches(SOURCE, config_of(2), start)] == [step for step in steps if step > start]
    assert [step for step, _ in dispatches(SOURCE, config_of(2), 7)][:2] == [8, 9]


def test_what_is_due_after_a_step():
    config = config_of(1)
    due = {
        test: [step for step in range(1, 13) if test(config, step)]
        for test in (evaluates_after, saves_after, logs_after)
    }
    assert due == {evaluates_after: [6, 12], saves_after: [4, 6, 8, 12], logs_after: [3, 4, 6, 8, 9, 12]}
