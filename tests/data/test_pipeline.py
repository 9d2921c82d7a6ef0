"""Batches, and statistics of a training set."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import grain
import numpy as np
import pytest

from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.config import DataConfig
from alexnet_jax.data import pipeline
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.measure_statistics import measure_statistics
from alexnet_jax.data.pipeline import evaluation_batches, training_batches
from alexnet_jax.errors import AlexNetError, UsageError
from tests.helpers.sources import Examples


@pytest.fixture(scope="module")
def source():
    """1,000 images."""
    return open_dataset(DataConfig()).test


def test_batches_depend_only_on_seed_and_step(source):
    first = training_batches(source, 300, seed=1)
    batches = [next(first) for _ in range(7)]  # three batches an epoch
    resumed = training_batches(source, 300, seed=1, start=5)
    for batch in batches[5:]:
        np.testing.assert_array_equal(next(resumed)["image"], batch["image"])
    other = next(training_batches(source, 300, seed=2))
    assert not np.array_equal(other["label"], batches[0]["label"])
    assert batches[0]["image"].dtype == np.uint8
    assert batches[0]["label"].dtype == np.int32


def test_epoch_has_each_image_at_most_once_and_epochs_differ(source):
    batches = training_batches(source, 300, seed=1)
    epochs = [np.concatenate([next(batches)["image"] for _ in range(3)]).reshape(900, -1) for _ in range(2)]
    for epoch in epochs:
        assert len(np.unique(epoch, axis=0)) == 900
    assert not np.array_equal(*epochs)


def test_evaluation_batches_have_every_example_once(source):
    batches = list(evaluation_batches(source, 300))
    assert [batch["image"].shape[0] for batch in batches] == [300] * 4
    labels = np.concatenate([batch["label"] for batch in batches])
    np.testing.assert_array_equal(labels[:1000], [source[index]["label"] for index in range(1000)])
    assert (labels[1000:] == PADDING_LABEL).all()


def test_measured_statistics_are_those_of_the_pixels(source):
    images = np.stack([source[index]["image"] for index in range(len(source))]).astype(np.float64)
    measured = measure_statistics(source, per_pixel=True)
    np.testing.assert_allclose(measured.mean, images.mean(0), rtol=1e-5)
    np.testing.assert_allclose(measured.colour_covariance, np.cov(images.reshape(-1, 3).T, bias=True), rtol=1e-5)
    np.testing.assert_allclose(measure_statistics(source, False).mean, images.mean((0, 1, 2)), rtol=1e-5)


def read(batches, count):
    """The labels and the images of the first batches."""
    taken = [next(batches) for _ in range(count)]
    return np.concatenate([batch["label"] for batch in taken]), np.concatenate([batch["image"] for batch in taken])


def test_order_is_that_of_grain(source):
    shuffled = grain.MapDataset.source(source).seed(3).shuffle().batch(300, drop_remainder=True).repeat()
    batches = training_batches(source, 300, seed=3, start=2)
    for step in range(2, 7):
        batch = next(batches)
        np.testing.assert_array_equal(batch["image"], shuffled[step]["image"])
        np.testing.assert_array_equal(batch["label"], shuffled[step]["label"])


@pytest.mark.parametrize("threads", [1, 5])
def test_order_does_not_depend_on_the_number_of_threads(source, threads):
    labels, images = read(training_batches(source, 100, seed=1, threads=threads), 12)
    expected_labels, expected_images = read(training_batches(source, 100, seed=1), 12)
    np.testing.assert_array_equal(labels, expected_labels)
    np.testing.assert_array_equal(images, expected_images)


@pytest.mark.parametrize("processes", [2, 3])
def test_rows_of_all_processes_are_the_batch_of_one_process(source, processes):
    batches = training_batches(source, 300, seed=1, start=1)
    parts = [training_batches(source, 300, 1, 1, process, processes) for process in range(processes)]
    for _ in range(5):
        batch, rows = next(batches), [next(part) for part in parts]
        assert {len(row["label"]) for row in rows} == {300 // processes}
        for name in ("image", "label"):
            np.testing.assert_array_equal(np.concatenate([row[name] for row in rows]), batch[name])


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_evaluate_every_example_once(source, processes):
    parts = [list(evaluation_batches(source, 300, process, processes)) for process in range(processes)]
    assert {len(part) for part in parts} == {4}
    labels = np.concatenate([row["label"] for rows in zip(*parts, strict=True) for row in rows])
    images = np.concatenate([row["image"] for rows in zip(*parts, strict=True) for row in rows])
    assert (labels[1000:] == PADDING_LABEL).all()
    assert not images[1000:].any()
    for index in range(1000):
        assert labels[index] == source[index]["label"]
        np.testing.assert_array_equal(images[index], source[index]["image"])


PROCESS = """
import json, sys
import jax
import numpy as np
from alexnet_jax.config import DataConfig
from alexnet_jax.data.pipeline import training_batches
from alexnet_jax.data.dataset import open_dataset

index, address = int(sys.argv[1]), sys.argv[2]
jax.config.update("jax_num_cpu_devices", 1)
jax.distributed.initialize(address, 2, index)
source = open_dataset(DataConfig(dataset="cifar10_sample")).test
rows = next(training_batches(source, 100, 1, 3, jax.process_index(), jax.process_count()))
sharding = jax.NamedSharding(jax.make_mesh((2,), ("batch",)), jax.P("batch"))
batch = {name: jax.make_array_from_process_local_data(sharding, part) for name, part in rows.items()}
weights = np.arange(1, 101, dtype=np.int32)
total = jax.jit(lambda batch: {name: (part.reshape(100, -1).astype("int32").sum(1) * weights).sum()
                               for name, part in batch.items()})(batch)
print(json.dumps({"rows": len(rows["label"]), **{name: int(value) for name, value in total.items()}}))
"""


@pytest.mark.slow
def test_two_processes_of_jax_build_one_batch(source):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    commands = [[sys.executable, "-c", PROCESS, str(index), address] for index in (0, 1)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    results = [json.loads(process.communicate(timeout=60)[0].splitlines()[-1]) for process in processes]
    batch, weights = next(training_batches(source, 100, 1, 3)), np.arange(1, 101, dtype=np.int32)
    totals = {
        name: int((part.reshape(100, -1).astype(np.int32).sum(1) * weights).sum()) for name, part in batch.items()
    }
    assert results == [{"rows": 50, **totals}] * 2


def test_batch_that_the_processes_cannot_divide_is_refused(source):
    with pytest.raises(UsageError, match=r"batch_size is 100: use a multiple of the 3 processes"):
        training_batches(source, 100, seed=0, process_count=3)


def test_damaged_image_in_a_batch_is_named(photos):
    folder = photos(splits=("train", "test"))
    (folder / "train" / "dog" / "3.png").write_bytes(b"not an image")
    data = open_dataset(DataConfig(dataset=str(folder), image_size=24))
    with pytest.raises(AlexNetError, match=r"dog/3\.png: not a readable image"):
        read(training_batches(data.train, 8, seed=0), 2)


@pytest.mark.parametrize(
    ("cpus", "memory", "batch_size", "threads", "buffered"),
    [
        (2, 2**35, 128, 2, 4),
        (64, 2**40, 200, 27, 27),
        (64, 2**33, 200, 27, 27),
        (64, 2**30, 200, 3, 3),
        (64, 2**25, 200, 1, 1),
    ],
)
def test_batches_that_are_read_ahead_are_bounded_in_bytes(monkeypatch, cpus, memory, batch_size, threads, buffered):
    monkeypatch.setattr(pipeline, "usable_cpus", lambda: cpus)
    monkeypatch.setattr(pipeline, "usable_memory", lambda: memory)
    images = Examples([{"image": np.zeros((256, 256, 3), np.uint8), "label": np.int32(0)}])
    options = pipeline.read_options(images, slice(0, batch_size))
    assert (options.num_threads, options.prefetch_buffer_size) == (threads, buffered)
    assert buffered == 1 or buffered * batch_size * 256 * 256 * 3 <= min(2**30, memory / 8)


def test_small_buffers_give_the_same_batches(source, monkeypatch):
    expected_labels, expected_images = read(training_batches(source, 100, seed=1), 12)
    monkeypatch.setattr(pipeline, "MOST_BUFFERED", 1)
    labels, images = read(training_batches(source, 100, seed=1), 12)
    np.testing.assert_array_equal(labels, expected_labels)
    np.testing.assert_array_equal(images, expected_images)
