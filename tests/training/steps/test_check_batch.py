"""Wrong batches: each is refused in one line when a step is traced, or by ``check_batch``."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

import alexnet_jax as alexnet
from alexnet_jax.errors import UsageError
from alexnet_jax.preprocessing.statistics import Statistics
from alexnet_jax.training.steps.state import create_train_state
from tests.helpers.nets import tiny_config

CONFIG = tiny_config()
KEY = jax.random.key(0)
STATE = jax.eval_shape(partial(create_train_state, CONFIG), KEY)
IMAGES, LABELS = np.zeros((8, 72, 80, 3), np.uint8), np.arange(8, dtype=np.int32)


def traced(step, *arguments, config=CONFIG):
    """The shapes of a step's results. It is traced and not compiled."""
    return jax.eval_shape(partial(step, config=config), *arguments)


WRONG_IMAGES = {
    "NCHW": (IMAGES.transpose(0, 3, 1, 2), r"\(8, 3, 72, 80\).*use \(batch, height, width, 3\), images\.transpose\("),
    "float": (IMAGES / np.float32(255), "dtype float32: use uint8 with pixels in 0..255, not in 0..1"),
    "int": (IMAGES.astype(np.int32), "dtype int32: use uint8"),
    "channels": (IMAGES[..., :1], r"\(8, 72, 80, 1\).*use \(batch, height, width, 3\)"),
    "one": (IMAGES[0], r"\(72, 80, 3\).*use \(batch, height, width, 3\)"),
    "empty": (IMAGES[:0], r"\(0, 72, 80, 3\).*use at least one image"),
    "small": (IMAGES[:, :60], r"\(8, 60, 80, 3\).*at least 67 pixels, the crop of the net"),
}  # fmt: skip
WRONG_LABELS = {
    "one-hot": np.eye(8, 10, dtype=np.int32),
    "column": LABELS[:, None],
    "short": LABELS[:7],
    "float": LABELS.astype(np.float32),
}
STEPS = {
    "train_step": lambda batch: traced(alexnet.train_step, STATE, batch, KEY),
    "loss_fn": lambda batch: traced(alexnet.loss_fn, STATE.params, STATE, batch, KEY),
    "eval_step": lambda batch: traced(alexnet.eval_step, STATE, batch),
    "ten-crop": lambda batch: traced(partial(alexnet.eval_step, views="ten-crop"), STATE, batch),
    "check_batch": lambda batch: alexnet.check_batch(batch, CONFIG),
}
OF_IMAGES = {
    "predict_step": lambda batch: traced(alexnet.predict_step, STATE, batch["image"]),
    "preprocess": lambda batch: alexnet.preprocess(batch["image"], STATISTICS, CONFIG),
}
STATISTICS = Statistics(np.zeros(3, np.float32), np.eye(3, dtype=np.float32))


@pytest.mark.parametrize("step", (STEPS | OF_IMAGES).values(), ids=(STEPS | OF_IMAGES))
@pytest.mark.parametrize(("images", "message"), WRONG_IMAGES.values(), ids=WRONG_IMAGES)
def test_wrong_images_are_refused(step, images, message):
    with pytest.raises(UsageError, match=f"^images .*{message}") as error:
        step({"image": images, "label": LABELS[: len(images)]})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("labels", WRONG_LABELS.values(), ids=WRONG_LABELS)
def test_wrong_labels_are_refused(step, labels):
    with pytest.raises(
        UsageError, match=r"^labels have shape .* and dtype .*: use int32 \(8,\), the index of its class"
    ):
        step({"image": IMAGES, "label": labels})


@pytest.mark.parametrize("missing", ["image", "label"])
def test_a_batch_without_an_entry_is_refused(missing):
    batch = {"image": IMAGES, "label": LABELS}
    del batch[missing]
    with pytest.raises(UsageError, match=f"^the batch has no '{missing}'"):
        traced(alexnet.eval_step, STATE, batch)


@pytest.mark.parametrize("label", [-2, 10, 2**31 - 1])
def test_check_batch_refuses_labels_out_of_range(label):
    labels = LABELS.copy()
    labels[5] = label
    with pytest.raises(UsageError, match=f"^label 5 is {label}: use 0 to 9, or -1 for an example that does not count"):
        alexnet.check_batch({"image": IMAGES, "label": labels}, CONFIG)
    alexnet.check_batch({"image": IMAGES, "label": np.where(labels == label, -1, labels)}, CONFIG)


def test_images_of_another_size_than_the_mean_image_are_refused():
    statistics = STATISTICS.replace(mean=np.zeros((72, 72, 3), np.float32))
    message = r"images have shape \(8, 72, 80, 3\), and the mean image \(72, 72, 3\): use images of that size"
    with pytest.raises(UsageError, match=message):
        alexnet.preprocess(IMAGES, statistics, CONFIG)
    centred = dataclasses.replace(CONFIG.augment, mean_crop="center")
    assert alexnet.preprocess(IMAGES, statistics, dataclasses.replace(CONFIG, augment=centred)).shape == (8, 67, 67, 3)


def test_a_batch_that_crop_groups_do_not_divide_is_refused():
    config = dataclasses.replace(CONFIG, augment=dataclasses.replace(CONFIG.augment, images_per_crop=4))
    with pytest.raises(UsageError, match=r"\(6, 72, 80, 3\): use a multiple of augment\.images_per_crop, 4"):
        traced(alexnet.train_step, STATE, {"image": IMAGES[:6], "label": LABELS[:6]}, KEY, config=config)
