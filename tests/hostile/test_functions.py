"""Wrong arguments of the public functions. A row is a call, and a text that the error must name."""

from __future__ import annotations

import dataclasses

import jax
import jaxtyping
import numpy as np
import pytest

import alexnet_jax as ax
from alexnet_jax.config import (
    AugmentConfig,
    ConvConfig,
    DataConfig,
    DenseConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)
from alexnet_jax.errors import AlexNetError
from tests.hostile.place import contents

NAN, INF = float("nan"), float("inf")
KEY = jax.random.key(0)
CONV = ConvConfig(8, 5, padding=2, then=("relu", "max_pool"))
MODEL = ModelConfig(convs=(CONV,), dense=(DenseConfig(8),), classes=2, image_size=14)
CONFIG = TrainConfig(model=MODEL, data=DataConfig(image_size=16, train_examples=12), batch_size=4, epochs=1)
IMAGES, LABELS = np.zeros((4, 16, 16, 3), np.uint8), np.zeros(4, np.int32)


def state():
    return ax.create_train_state(CONFIG, KEY)


def train(config=CONFIG, **batch):
    return ax.train_step(state(), {"image": IMAGES, "label": LABELS} | batch, KEY, config=config)


def evaluate(**batch):
    return ax.eval_step(state(), {"image": IMAGES, "label": LABELS} | batch, config=CONFIG)


def predict(images, **options):
    return ax.predict_step(state(), images, config=CONFIG, **options)


def features(images, names=("conv1",)):
    return ax.features(state().params, images, MODEL, names)


def forms(*names, **choices):
    with ax.use_forms(*names, **choices):
        pass


def changed(part, **fields):
    return dataclasses.replace(part, **fields)


BATCHES = {
    "floats": {"image": IMAGES.astype(np.float32)},
    "fractions": {"image": (IMAGES / 255).astype(np.float32)},
    "int32": {"image": IMAGES.astype(np.int32)},
    "channels first": {"image": np.zeros((4, 3, 16, 16), np.uint8)},
    "one channel": {"image": np.zeros((4, 16, 16, 1), np.uint8)},
    "four channels": {"image": np.zeros((4, 16, 16, 4), np.uint8)},
    "no channels": {"image": np.zeros((4, 16, 16), np.uint8)},
    "one image": {"image": np.zeros((16, 16, 3), np.uint8)},
    "small": {"image": np.zeros((4, 13, 13, 3), np.uint8)},
    "flat": {"image": np.zeros((4, 16, 2, 3), np.uint8)},
    "empty": {"image": IMAGES[:0], "label": LABELS[:0]},
    "list": {"image": IMAGES.tolist()},
    "no images": {"image": None},
    "float labels": {"label": LABELS.astype(np.float32)},
    "one-hot labels": {"label": np.eye(4, 2, dtype=np.int32)},
    "few labels": {"label": LABELS[:3]},
    "many labels": {"label": np.zeros(5, np.int32)},
    "one label": {"label": np.int32(0)},
    "no labels": {"label": None},
    "text labels": {"label": np.array(["cat"] * 4)},
}

MODELS = {
    "no convs": {"convs": ()},
    "convs are text": {"convs": "conv"},
    "a conv is a dict": {"convs": ({"features": 8},)},
    "no classes": {"classes": 0},
    "negative classes": {"classes": -1},
    "classes nan": {"classes": NAN},
    "classes text": {"classes": "2"},
    "fraction of classes": {"classes": 2.5},
    "no channels": {"channels": 0},
    "no towers": {"towers": 0},
    "three towers": {"towers": 3},
    "no pixels": {"image_size": 0},
    "too small": {"image_size": 1},
    "negative size": {"image_size": -14},
}

CALLS = [
    *((f"train_step: {name}", lambda batch=batch: train(**batch), "") for name, batch in BATCHES.items()),
    *((f"eval_step: {name}", lambda batch=batch: evaluate(**batch), "") for name, batch in BATCHES.items()),
    *(
        (f"predict_step: {name}", lambda batch=batch: predict(batch["image"]), "")
        for name, batch in BATCHES.items()
        if "image" in batch
    ),
    *(
        (f"preprocess: {name}", lambda batch=batch: ax.preprocess(batch["image"], state().statistics, CONFIG), "")
        for name, batch in BATCHES.items()
        if batch.get("image") is not None
    ),
    ("train_step: no dict", lambda: ax.train_step(state(), IMAGES, KEY, config=CONFIG), ""),
    ("train_step: another name", lambda: ax.train_step(state(), {"images": IMAGES}, KEY, config=CONFIG), "image"),
    ("train_steps: no axis of steps", lambda: ax.train_steps(
        state(), {"image": IMAGES, "label": LABELS}, KEY, config=CONFIG), ""),
    ("predict_step: views", lambda: predict(IMAGES, views="many"), "many"),
    ("features: unknown layer", lambda: features(np.zeros((4, 14, 14, 3), np.float32), ("conv9",)), "conv9"),
    ("features: a name", lambda: features(np.zeros((4, 14, 14, 3), np.float32), "conv1"), ""),
    ("features: wrong size", lambda: features(np.zeros((4, 16, 16, 3), np.float32), ("fc2",)), ""),
    ("features: uint8", lambda: features(IMAGES[:, :14, :14]), ""),
    ("features: channels first", lambda: features(np.zeros((4, 3, 14, 14), np.float32)), ""),
    ("use_forms: unknown form", lambda: forms("quick"), "quick"),
    ("use_forms: unknown operation", lambda: forms(pool="cpu"), "pool"),
    ("use_forms: unknown form of an operation", lambda: forms(max_pool="cuda"), "cuda"),
    ("variant: unknown", lambda: ax.variant("alexnet"), "alexnet"),
    ("variant: empty", lambda: ax.variant(""), "variant"),
    ("variant: number", lambda: ax.variant(3), ""),
    ("variant: none", lambda: ax.variant(None), ""),
    ("variant: lines", lambda: ax.variant("a\nb"), "variant"),
    ("preset: unknown", lambda: ax.preset("fast"), "fast"),
    ("preset: number", lambda: ax.preset(3), ""),
    ("load_run: missing", lambda: ax.load_run("missing"), "missing"),
    ("load_run: empty", lambda: ax.load_run(""), ""),
    ("load_run: none", lambda: ax.load_run(None), ""),
    ("load_run: number", lambda: ax.load_run(3), ""),
    ("load_run: bytes", lambda: ax.load_run(b"run"), ""),
    ("load_run: nul", lambda: ax.load_run("a\0b"), ""),
    ("load_run: checkpoint", lambda: ax.load_run("run", "newest"), "newest"),
    ("load_weights: missing", lambda: ax.load_weights("missing.pth"), "missing"),
    ("load_weights: suffix", lambda: ax.load_weights("text.json"), "text.json"),
    ("load_weights: variant", lambda: ax.load_weights("net.pth", "alexnet"), "alexnet"),
    ("load_weights: mean", lambda: ax.load_weights("net.pth", mean="mean.binaryproto"), "mean"),
    ("open_dataset: missing", lambda: ax.open_dataset(DataConfig(dataset="missing")), "missing"),
    ("open_dataset: folder", lambda: ax.open_dataset(DataConfig(dataset="./missing")), "missing"),
    ("open_dataset: channels", lambda: ax.open_dataset(DataConfig(dataset="photos"), 2), "channels"),
    ("open_dataset: split", lambda: ax.open_dataset(
        DataConfig(dataset="cifar10_sample", test_split="nothing")), "nothing"),
    ("create_train_state: channels", lambda: ax.create_train_state(
        changed(CONFIG, model=changed(MODEL, channels=2)), KEY), "channels"),
    *((f"ModelConfig: {name}", lambda fields=fields: changed(MODEL, **fields), next(iter(fields)))
      for name, fields in MODELS.items()),
    *((f"ConvConfig: {field} {value}", lambda field=field, value=value: changed(
          MODEL, convs=(changed(CONV, **{field: value}),)), field)
      for field, values in {
          "features": (0, -1, 1.5, "8", None), "kernel_size": (0, -3, "5"), "stride": (0, -1, NAN),
          "padding": (-1, 0.5), "groups": (0, -2), "kernel_stddev": (NAN, INF, -1.0, 0.0), "bias": (NAN, INF),
          "then": (("gelu",), "relu", 3), "rounding": ("nearest",),
      }.items() for value in values),
    *((f"TrainConfig: {field} {value}", lambda field=field, value=value: changed(CONFIG, **{field: value}), field)
      for field, values in {
          "batch_size": (0, -4, 4.0, "4", NAN, 13), "epochs": (0, -1, 1.5, INF), "seed": (-1, 2**32, 0.5, "x"),
          "dtype": ("float16", None, np.float32), "steps_per_dispatch": (0, -1), "evaluate_every": (0, NAN),
          "checkpoint_every": (0,), "keep_every": (0, -1), "log_every": (0, -5), "model": (None, "paper"),
          "data": (None, "photos"),
      }.items() for value in values),
    *((f"OptimizerConfig: {field} {value}", lambda field=field, value=value: OptimizerConfig(**{field: value}), field)
      for field, values in {
          "learning_rate": (0, -1, NAN, INF, "x", None), "momentum": (1.0, -0.1, NAN), "weight_decay": (-1, NAN, INF),
          "rule": ("adam",), "frozen": ("conv1", 3),
      }.items() for value in values),
    *((f"ScheduleConfig: {field} {value}", lambda field=field, value=value: ScheduleConfig(**{field: value}), field)
      for field, values in {
          "rule": ("sometimes",), "factor": (0, -1, 2, NAN), "epochs": ((2, 1), (NAN,), (0,), "12"),
          "patience": (0, -1, NAN), "max_drops": (-1,), "layer_rates": ((("conv1", 1),), (("conv1", 1, NAN),)),
      }.items() for value in values),
    *((f"DataConfig: {field} {value}", lambda field=field, value=value: DataConfig(**{field: value}), field)
      for field, values in {
          "dataset": ("", None, 3, "a\0b"), "image_size": (0, -1, 1.5, "32"), "test_fraction": (0, 1, NAN, "x"),
          "validation_fraction": (-0.1, 1, NAN), "split_seed": (-1, 0.5), "train_examples": (0, -1),
      }.items() for value in values),
    *((f"AugmentConfig: {field} {value}", lambda field=field, value=value: AugmentConfig(**{field: value}), field)
      for field, values in {
          "random_crop": ("never",), "images_per_crop": (0, -1), "mean": ("median", None),
          "pca_colour_noise": (-1, NAN, INF), "pca_colour_noise_divisor": (0, NAN), "horizontal_flip": ("yes", None),
      }.items() for value in values),
]  # fmt: skip


@pytest.fixture(autouse=True)
def types_are_not_checked():
    """As for users: the tests check the types of arguments otherwise."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(("call", "named"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_a_wrong_call_raises_one_line(place, monkeypatch, call, named):
    monkeypatch.chdir(place)
    before = contents(place)
    with pytest.raises((AlexNetError, TypeError)) as raised:
        call()
    message = str(raised.value)
    assert message
    assert named in message
    if isinstance(raised.value, AlexNetError):
        assert "\n" not in message
    assert contents(place) == before
