import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.config import AugmentConfig
from alexnet_jax.training.evaluation import evaluate as evaluate_images
from alexnet_jax.training.layouts import choose_layout
from tests.helpers.sources import Examples
from tests.training.steps.compiled import CONFIG, KEY, assert_close, evaluate, predict


def test_evaluation_ignores_padding(state, batch):
    padded = {
        "image": jnp.concatenate([batch["image"], jnp.full_like(batch["image"], 200)]),
        "label": jnp.concatenate([batch["label"], jnp.full_like(batch["label"], PADDING_LABEL)]),
    }
    plain, with_padding = (evaluate(state, item, config=CONFIG) for item in (batch, padded))
    assert float(with_padding["count"]) == 8
    assert_close(with_padding, plain)


def test_ten_crop_predictions_are_probabilities_and_ignore_reflection(state):
    config = dataclasses.replace(CONFIG, augment=AugmentConfig(mean="channel"))
    images = jax.random.randint(KEY, (2, 71, 71, 3), 0, 256).astype(jnp.uint8)  # the centre is as far from each edge
    ten = predict(state, images, config=config, views="ten-crop")
    np.testing.assert_allclose(jnp.exp(ten).sum(-1), 1.0, rtol=1e-5)
    mirrored = predict(state, images[:, :, ::-1], config=config, views="ten-crop")
    np.testing.assert_allclose(ten, mirrored, rtol=1e-4)  # the ten views of a mirrored image are the same ten
    assert not np.allclose(ten, predict(state, images, config=config), rtol=1e-6)


def test_center_flip_predictions_are_mean_probabilities_and_the_views_of_a_run_are_its_default(state, batch):
    config = dataclasses.replace(CONFIG, augment=AugmentConfig(mean="channel"))
    images = jax.random.randint(KEY, (2, 71, 71, 3), 0, 256).astype(jnp.uint8)  # the centre is as far from each edge
    both = [predict(state, side, config=config) for side in (images, images[:, :, ::-1])]
    want = jnp.log((jnp.exp(both[0]) + jnp.exp(both[1])) / 2)
    np.testing.assert_allclose(predict(state, images, config=config, views="center-flip"), want, rtol=1e-4)
    flipping = dataclasses.replace(config, views="center-flip")
    np.testing.assert_allclose(predict(state, images, config=flipping), want, rtol=1e-4)
    np.testing.assert_array_equal(predict(state, images, config=flipping, views="center"), both[0])
    examples = Examples([{"image": np.asarray(image), "label": np.int32(0)} for image in images])
    for views, scores in ((None, want), ("center", both[0])):
        found = evaluate_images(state, choose_layout(flipping, 1), examples, views)
        assert found["loss"] == pytest.approx(-float(scores[:, 0].mean()), rel=1e-4)
