import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.config import DataConfig
from alexnet_jax.data.images import decode_image
from alexnet_jax.data.measure_statistics import measure_statistics
from alexnet_jax.data.pipeline import evaluation_batches, training_batches
from alexnet_jax.data.sources import PACKAGED, open_dataset
from alexnet_jax.errors import AlexNetError, UsageError

SAMPLE = DataConfig()


def labels_of(source):
    return np.concatenate([batch["label"] for batch in evaluation_batches(source, 500)])


def test_the_packaged_sample_is_balanced_and_small():
    data = open_dataset(SAMPLE, 3)
    assert np.bincount(labels_of(data.train)).tolist() == [500] * 10
    assert np.bincount(labels_of(data.test)).tolist() == [100] * 10
    assert data.class_names[:3] == ("airplane", "automobile", "bird")
    assert data.train[0]["image"].shape == (32, 32, 3)
    folder = PACKAGED / "cifar10_sample" / "1.0.0"
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 14 * 2**20


def test_batches_follow_from_seed_and_step_alone():
    source = open_dataset(SAMPLE, 3).test
    first = training_batches(source, 300, seed=1)
    batches = [next(first) for _ in range(7)]  # three whole batches an epoch
    resumed = training_batches(source, 300, seed=1, start=5)
    for batch in batches[5:]:
        np.testing.assert_array_equal(next(resumed)["image"], batch["image"])
    other = next(training_batches(source, 300, seed=2))
    assert not np.array_equal(other["label"], batches[0]["label"])
    assert batches[0]["image"].dtype == np.uint8
    assert batches[0]["label"].dtype == np.int32


def test_an_epoch_takes_each_image_at_most_once_and_epochs_differ():
    source = open_dataset(SAMPLE, 3).test
    batches = training_batches(source, 300, seed=1)
    epochs = [np.concatenate([next(batches)["image"] for _ in range(3)]).reshape(900, -1) for _ in range(2)]
    for epoch in epochs:
        assert len(np.unique(epoch, axis=0)) == 900
    assert not np.array_equal(*epochs)


def test_evaluation_batches_hold_every_example_once():
    source = open_dataset(SAMPLE, 3).test
    batches = list(evaluation_batches(source, 300))
    assert [batch["image"].shape[0] for batch in batches] == [300] * 4
    labels = np.concatenate([batch["label"] for batch in batches])
    np.testing.assert_array_equal(labels[:1000], [source[index]["label"] for index in range(1000)])
    assert (labels[1000:] == -1).all()


def test_measured_statistics_are_those_of_the_pixels():
    source = open_dataset(SAMPLE, 3).test
    images = np.stack([source[index]["image"] for index in range(len(source))]).astype(np.float64)
    measured = measure_statistics(source, per_pixel=True)
    np.testing.assert_allclose(measured.mean, images.mean(0), rtol=1e-5)
    np.testing.assert_allclose(measured.colour_covariance, np.cov(images.reshape(-1, 3).T, bias=True), rtol=1e-5)
    np.testing.assert_allclose(measure_statistics(source, False).mean, images.mean((0, 1, 2)), rtol=1e-5)


# Images


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "RGBA", "P", "LA"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_images_of_every_mode_are_read(mode, kind):
    supported = {"JPEG": {"RGB", "L", "CMYK"}, "PNG": {"RGB", "L", "RGBA", "P", "LA"}, "WEBP": {"RGB", "RGBA"}}
    if mode not in supported[kind]:
        pytest.skip(f"{kind} has no {mode}")
    image = Image.new("RGB", (50, 40), (200, 100, 50)).convert(mode)
    for channels in (1, 3):
        pixels = decode_image(encoded(image, kind), 24, channels)
        assert pixels.shape == (24, 24, channels)
        grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
        want = [grey] * 3 if mode in ("L", "LA") else [200, 100, 50]
        np.testing.assert_allclose(pixels[12, 12], want if channels == 3 else [grey], atol=6)


def test_the_shorter_side_is_scaled_and_the_centre_cut_out():
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = 255  # exactly the central square
    assert decode_image(encoded(Image.fromarray(pixels), "PNG"), 20, 3)[1:-1, 1:-1].min() == 255
    exact = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(exact), "PNG"), 32, 3), exact)


def test_what_is_no_image_is_named(tmp_path):
    file = tmp_path / "cat.jpg"
    file.write_bytes(b"not a picture")
    with pytest.raises(AlexNetError, match=r"cat\.jpg: not a readable image"):
        decode_image(file, 32, 3)
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)), "JPEG")
    with pytest.raises(AlexNetError, match="not a readable image"):
        decode_image(whole[: len(whole) // 2], 32, 3)


# Folders


def config_for(folder, **changes):
    return dataclasses.replace(DataConfig(dataset=str(folder)), **changes)


def test_a_folder_with_train_and_test(photos):
    data = open_dataset(config_for(photos(splits=("train", "test"))), 3)
    assert (len(data.train), len(data.test), data.validation) == (16, 16, None)
    assert data.class_names == ("cat", "dog")
    assert labels_of(data.train)[:16].tolist() == [0] * 8 + [1] * 8


def test_a_folder_of_one_level_is_split_by_the_seed(photos):
    folder = photos(per_class=10)
    parts = [open_dataset(config_for(folder, test_fraction=0.25, split_seed=seed), 3) for seed in (0, 0, 1)]
    assert [(len(part.train), len(part.test)) for part in parts] == [(15, 5)] * 3
    indices = [part.test.indices.tolist() for part in parts]
    assert indices[0] == indices[1] != indices[2]
    assert sorted(indices[0] + parts[0].train.indices.tolist()) == list(range(20))


def test_a_share_of_training_is_held_out_for_validation():
    data = open_dataset(dataclasses.replace(SAMPLE, validation_fraction=0.1), 3)
    assert (len(data.train), len(data.validation), len(data.test)) == (4500, 500, 1000)
    assert not set(data.train.indices) & set(data.validation.indices)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "train" / "dog"), "holds 1 class folder"),
        (lambda folder: shutil.rmtree(folder / "test"), "has train/ but no test/"),
        (lambda folder: (folder / "test" / "bird").mkdir(), "has a class 'bird'"),
        (lambda folder: [file.unlink() for file in folder.glob("train/*/*")], "hold no images"),
    ],
)
def test_folders_that_cannot_be_trained_on_are_refused(photos, break_it, message):
    folder = photos(splits=("train", "test"))
    break_it(folder)
    with pytest.raises(AlexNetError, match=message):
        open_dataset(config_for(folder), 3)


def test_a_folder_that_is_not_there():
    with pytest.raises(UsageError, match="there is no such folder"):
        open_dataset(config_for("/no/such/place"), 3)


# TFDS


@pytest.fixture
def prepared(tmp_path):
    """A data_dir of one's own with the sample in it under another name."""
    place = tmp_path / "tfds"
    shutil.copytree(PACKAGED / "cifar10_sample" / "1.0.0", place / "mine" / "1.0.0")
    info = place / "mine" / "1.0.0" / "dataset_info.json"
    for file in (place / "mine" / "1.0.0").glob("cifar10_sample-*"):
        file.rename(file.with_name(file.name.replace("cifar10_sample", "mine")))
    info.write_text(info.read_text().replace('"cifar10_sample"', '"mine"'))
    return place


def test_a_data_set_is_found_by_name_version_and_path(prepared):
    for name in ("mine", "mine:1.0.0", str(prepared / "mine" / "1.0.0")):
        assert len(open_dataset(DataConfig(dataset=name, data_dir=str(prepared)), 3).test) == 1000


def test_the_newest_version_is_taken(prepared):
    shutil.copytree(prepared / "mine" / "1.0.0", prepared / "mine" / "1.10.0")
    shutil.copytree(prepared / "mine" / "1.0.0", prepared / "mine" / "1.9.0")
    assert open_dataset(DataConfig(dataset="mine", data_dir=str(prepared)), 3).where.name == "1.10.0"
    assert open_dataset(DataConfig(dataset="mine:1.9.0", data_dir=str(prepared)), 3).where.name == "1.9.0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "mime"}, "unknown data set 'mime': did you mean mine"),
        ({"dataset": "mine:2.0.0"}, "not in that version"),
        ({"dataset": "mine", "train_split": "trian"}, "did you mean train"),
        ({"dataset": "mine", "validation_split": "validation"}, "unknown split"),
    ],
)
def test_unknown_names_say_what_is_near(prepared, changes, message):
    with pytest.raises(UsageError, match=message):
        open_dataset(DataConfig(data_dir=str(prepared), **changes), 3)


def test_tfrecord_is_refused_with_the_command_that_converts_it(prepared):
    info = prepared / "mine" / "1.0.0" / "dataset_info.json"
    content = json.loads(info.read_text())
    info.write_text(json.dumps(content | {"fileFormat": "tfrecord"}))
    with pytest.raises(AlexNetError, match=r"tfds convert_format --dataset_version_dir=.* --out_dir"):
        open_dataset(DataConfig(dataset="mine", data_dir=str(prepared)), 3)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "mine-train.array_record-00000-of-00001"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_data_sets_are_refused(prepared, name, damage):
    file = prepared / "mine" / "1.0.0" / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(AlexNetError, match=r"damaged|unknown data set|not in that version"):
        open_dataset(DataConfig(dataset="mine", data_dir=str(prepared)), 3)
