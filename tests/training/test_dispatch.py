import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from alexnet_jax.config import DataConfig, ScheduleConfig
from alexnet_jax.training.dispatch import (
    InFlight,
    dispatches,
    distinct_group_sizes,
    evaluates_after,
    keeps_after,
    logs_after,
    observes_after,
    saves_after,
    validates_after,
)
from tests.helpers.nets import tiny_config
from tests.helpers.sources import Examples

SOURCE = Examples([{"image": np.full((72, 72, 3), index, np.uint8), "label": np.int32(index)} for index in range(28)])
VALIDATION = Examples(
    [{"image": np.full((72, 72, 3), index, np.uint8), "label": np.int32(index)} for index in range(28, 40)]
)


def config_of(steps_per_dispatch, **changes):
    """Two epochs of seven steps, a checkpoint every four steps, a row of metrics every three."""
    changes = {"epochs": 2, "log_every": 3, "checkpoint_every": 4} | changes
    data = DataConfig(image_size=72, train_examples=28)
    return tiny_config(data=data, batch_size=4, steps_per_dispatch=steps_per_dispatch, **changes)


def steps_of(config, start=0):
    return [step for step, _ in dispatches(SOURCE, config, start)]


@pytest.mark.parametrize(
    ("size", "groups"), [(1, [1] * 14), (2, [2, 2, 2, 1] * 2), (3, [3, 3, 1] * 2), (7, [7, 7]), (100, [7, 7])]
)
def test_groups_start_at_multiples_of_their_size_and_end_with_the_epoch(size, groups):
    config = config_of(size)
    assert [len(batches) for _, batches in dispatches(SOURCE, config, 0)] == groups
    assert distinct_group_sizes(config, 0) == set(groups)


def test_groups_do_not_depend_on_what_is_due_or_on_the_length_of_the_run():
    changes = [{"log_every": 1}, {"checkpoint_every": 1}, {"evaluate_every": 2}, {"epochs": 5}]
    for config in (config_of(3, **change) for change in changes):
        assert steps_of(config)[:6] == steps_of(config_of(3)) == [3, 6, 7, 10, 13, 14]


def test_groups_hold_the_batches_of_single_steps():
    def labels(size):
        return [batch["label"] for _, batches in dispatches(SOURCE, config_of(size), 0) for batch in batches]

    np.testing.assert_array_equal(labels(2), labels(1))


def test_a_checkpoint_that_is_kept_is_saved():
    config = config_of(3, epochs=5, evaluate_every=5, checkpoint_every=100, keep_every=2)
    assert [step for step in range(36) if keeps_after(config, step)] == [14, 28]
    assert [after for before, after in pairwise([0, *steps_of(config)]) if saves_after(config, before, after)] == [
        *(14, 28, 35)
    ]


def labels_of(config, start=0):
    return [batch["label"] for _, batches in dispatches(SOURCE, config, start, VALIDATION) for batch in batches]


def test_validation_images_are_trained_on_from_their_epoch():
    data = DataConfig(image_size=72, train_examples=28, validation_fraction=0.5, fold_in_epoch=2)
    config = tiny_config(data=data, batch_size=4, steps_per_dispatch=2, epochs=5, schedule=ScheduleConfig("steps"))
    labels = labels_of(config)
    assert sorted(np.concatenate(labels[:7])) == sorted(np.concatenate(labels[7:14])) == list(range(28))
    assert sorted(np.concatenate(labels[14:24])) == list(range(40))  # one pass over both
    for start in (5, 13, 14, 15, 20):
        np.testing.assert_array_equal(labels_of(config, start), labels[start:])
    assert [step for step in range(1, 22) if validates_after(config, step)] == list(range(1, 15))
    without = dataclasses.replace(config, data=dataclasses.replace(data, fold_in_epoch=None))
    assert max(map(max, labels_of(without))) == 27


@pytest.mark.parametrize("start", [0, 3, 6, 7, 10])
def test_a_resumed_run_groups_its_steps_as_an_uninterrupted_one(start):
    assert steps_of(config_of(3), start) == [step for step in steps_of(config_of(3)) if step > start]


def test_a_checkpoint_between_two_groups_is_resumed_with_a_short_group():
    assert steps_of(config_of(3), 5)[:3] == [6, 7, 10]
    assert distinct_group_sizes(config_of(3), 5) == {1, 3}
    assert distinct_group_sizes(config_of(4), 10) == {1, 3}


@pytest.mark.parametrize(
    ("size", "saved", "logged"), [(1, [4, 7, 8, 12, 14], [3, 4, 6, 7, 8, 9, 12, 14]), (3, [6, 7, 10, 13, 14], None)]
)
def test_rows_and_checkpoints_are_due_at_the_next_end_of_a_group(size, saved, logged):
    config = config_of(size)
    ends = [0, *steps_of(config)]

    def after(test):
        return [step for before, step in pairwise(ends) if test(config, before, step)]

    assert after(saves_after) == saved
    assert after(logs_after) == (logged or ends[1:])


def test_the_rule_plateau_observes_the_evaluations_that_a_longer_run_has():
    config = config_of(1, epochs=5, evaluate_every=2, schedule=ScheduleConfig("plateau"))
    assert [step for step in range(36) if evaluates_after(config, step)] == [14, 28, 35]
    assert [step for step in range(36) if observes_after(config, step)] == [14, 28]
    longer = dataclasses.replace(config, epochs=6)
    assert [step for step in range(43) if observes_after(longer, step)] == [14, 28]
    assert not observes_after(config_of(1, schedule=ScheduleConfig("steps")), 7)


class Metric:
    """A value of a step that the device has finished once somebody has waited for it."""

    is_ready = False

    def block_until_ready(self):
        self.is_ready = True


def test_at_most_two_dispatches_are_in_flight():
    metrics, in_flight = [Metric() for _ in range(5)], InFlight()
    for index, metric in enumerate(metrics):
        in_flight.add({"loss": metric})
        assert [each.is_ready for each in metrics[: index + 1]] == [True] * (index - 1) + [False] * min(index + 1, 2)
