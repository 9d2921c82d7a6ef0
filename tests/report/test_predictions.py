"""The numbers of a report, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet_jax.data.source import Relabelled
from alexnet_jax.errors import AlexNetError
from alexnet_jax.report.predictions import predict_all
from alexnet_jax.report.run_time import time_spent
from alexnet_jax.training import evaluation
from tests.helpers.sources import Examples

CLASSES = 7


class FixedScores:
    """A layout whose net gives fixed log-probabilities. The first pixel of an image is its index."""

    def __init__(self, scores):
        self.scores = scores

    def predict_step(self, state, images, views=None):
        return self.scores[images[:, 0, 0, 0]]


@pytest.fixture
def scores():
    logits = np.random.default_rng(0).normal(size=(50, CLASSES)).astype(np.float32)
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


@pytest.fixture
def source():
    labels = np.random.default_rng(1).integers(0, CLASSES, 50)
    return Examples(
        [{"image": np.full((4, 4, 3), index, np.uint8), "label": np.int32(label)} for index, label in enumerate(labels)]
    )


@pytest.fixture(autouse=True)
def _several_batches(monkeypatch):
    monkeypatch.setattr("alexnet_jax.report.predictions.BATCH_SIZE", 16)


def test_every_number_is_that_of_all_scores_at_once(scores, source):
    labels = np.array([example["label"] for example in source.examples])
    found = predict_all(None, FixedScores(scores), source, CLASSES, frozenset({3, 49}), worst=4)
    best = scores.argmax(1)
    expected = np.zeros((CLASSES, CLASSES), int)
    for label, prediction in zip(labels, best, strict=True):
        expected[label, prediction] += 1
    np.testing.assert_array_equal(found.confusion, expected)
    assert found.count == 50
    assert found.top1_error == pytest.approx((best != labels).mean())
    top5 = np.argsort(-scores, 1)[:, :5]
    assert found.top5_error == pytest.approx((top5 != labels[:, None]).all(1).mean())
    assert found.loss == pytest.approx(-scores[np.arange(50), labels].mean(), rel=1e-6)
    assert [(one.index, one.label) for one in found.chosen] == [(3, labels[3]), (49, labels[49])]
    assert [label for _, label in found.chosen[0].best] == top5[3].tolist()
    mistakes = np.flatnonzero(best != labels)
    order = mistakes[np.argsort(-scores[mistakes].max(1))][:4]
    assert [one.index for one in found.worst] == order.tolist()
    assert not any(one.is_right for one in found.worst)
    counts = sorted((expected * (1 - np.eye(CLASSES, dtype=int))).ravel())[::-1]
    assert [count for *_, count in found.most_confused(3)] == counts[:3]


def test_images_without_a_label_do_not_count(scores, source):
    without = Relabelled(source, tuple(-1 if label == 0 else label for label in range(CLASSES)))
    found = predict_all(None, FixedScores(scores), without, CLASSES, frozenset(range(50)), worst=2)
    assert found.count == len(found.chosen) == sum(example["label"] != 0 for example in source.examples)
    with pytest.raises(AlexNetError, match="none of the 50 images has a label"):
        predict_all(None, FixedScores(scores), Relabelled(source, (-1,) * CLASSES), CLASSES, frozenset(), worst=2)


def test_scores_that_are_not_finite_are_an_error(scores, source):
    scores[20, 2] = np.nan
    with pytest.raises(evaluation.NotFiniteError, match="not finite"):
        predict_all(None, FixedScores(scores), source, CLASSES, frozenset(), worst=2)


def test_a_perfect_net_has_no_mistakes(source):
    labels = [example["label"] for example in source.examples]
    scores = np.log(np.where(np.eye(CLASSES)[labels], 0.94, 0.01)).astype(np.float32)
    found = predict_all(None, FixedScores(scores), source, CLASSES, frozenset(), worst=2)
    assert (found.top1_error, found.worst, found.most_confused(3)) == (0, (), [])


def test_time_is_split_by_activity():
    rows = [
        {"split": "train", "steps": 10, "images_per_second": 100.0, "input_wait": 0.25},
        {"split": "train", "steps": 10, "images_per_second": 200.0, "input_wait": 0.0},
        {"split": "test", "images_per_second": 500.0},
        {"split": "train", "steps": 1, "images_per_second": 0.0},
    ]
    spent = time_spent(rows, batch_size=32, examples={"test": 1000})
    assert spent == {"training": 2.4 + 1.6, "waiting for images": pytest.approx(0.8), "evaluation": 2.0}
