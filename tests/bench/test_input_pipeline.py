import dataclasses
import io
import json
import socket
import subprocess
import sys

import grain
import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image, ImageOps
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from alexnet_jax.bench import input_pipeline as feed_bench
from alexnet_jax.commands import bench_data
from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.images import decode_image
from alexnet_jax.data.pipeline import evaluation_batches, training_batches
from alexnet_jax.errors import AlexNetError, UsageError

SIZE = 24


def photo(seed, height=SIZE, width=SIZE):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind="JPEG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


# Records


def tensor(encoding=tfds.features.Encoding.NONE, side=SIZE):
    return tfds.features.Tensor(shape=(side, side, 3), dtype=np.uint8, encoding=encoding)


def image(kind):
    return tfds.features.Image(shape=(None, None, 3), encoding_format=kind)


FEATURES = {
    "jpeg": image("jpeg"),
    "png": image("png"),
    "bytes": tensor(tfds.features.Encoding.BYTES),
    "zlib": tensor(tfds.features.Encoding.ZLIB),
    "numbers": tensor(),
    "bytes of any shape": tensor(tfds.features.Encoding.BYTES, side=None),
}


def write_tfds(folder, image_feature, images=20, options="group_size:1,uncompressed"):
    """A TFDS set of two shards, in which a text stands before the image and numbers after it."""
    features = tfds.features.FeaturesDict(
        {
            "a_name": tfds.features.Text(),
            "image": image_feature,
            "label": tfds.features.ClassLabel(num_classes=images),
            "z_box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
        }
    )
    folder.mkdir()
    counts = [images // 2, images - images // 2]
    splits = []
    for split in ("train", "test"):
        template = tfds.core.ShardedFileTemplate(
            data_dir=folder, dataset_name="mine", split=split, filetype_suffix="array_record"
        )
        for shard, count in enumerate(counts):
            writer = ArrayRecordWriter(str(template.sharded_filepath(shard_index=shard, num_shards=2)), options)
            for index in range(shard * counts[0], shard * counts[0] + count):
                pixels = np.asarray(photo(index))
                example = {"a_name": f"{index}", "image": pixels, "label": index, "z_box": np.ones(4, np.float32)}
                if isinstance(image_feature, tfds.features.Image):
                    example["image"] = encoded(photo(index), image_feature._image_encoder.encoding_format)
                serializer = ExampleSerializer(features.get_serialized_info())
                writer.write(serializer.serialize_example(features.encode_example(example)))
            writer.close()
        splits.append(tfds.core.SplitInfo(split, counts, 1000, template))
    tfds.folder_dataset.write_metadata(
        data_dir=folder, features=features, split_infos=splits, check_data=False, disable_shuffling=True
    )
    return folder


def config_for(folder, **changes):
    return dataclasses.replace(DataConfig(dataset=str(folder), image_size=SIZE), **changes)


@pytest.mark.parametrize("form", FEATURES)
def test_pixels_and_labels_are_those_that_tfds_decodes(tmp_path, form):
    source = open_dataset(config_for(write_tfds(tmp_path / "set", FEATURES[form])), 3).train
    theirs = tfds.builder_from_directory(tmp_path / "set").as_data_source("train")
    assert len(source) == len(theirs) == 20
    for index, example in enumerate(theirs):
        np.testing.assert_array_equal(source[index]["image"], example["image"])
        assert source[index]["image"].dtype == np.uint8
        assert source[index]["label"] == example["label"] == index


def test_grouped_and_compressed_records_are_read(tmp_path):
    folder = write_tfds(tmp_path / "set", FEATURES["bytes"], options="group_size:7,zstd:3")
    source = open_dataset(config_for(folder), 3).train
    for index in (0, 6, 9, 10, 19):
        np.testing.assert_array_equal(source[index]["image"], np.asarray(photo(index)))


@pytest.mark.parametrize("split", ["train[:10%]", "train[5:12]", "train[-3:]", "train[:5]+train[15:]"])
def test_parts_of_a_split_are_those_of_tfds(tmp_path, split):
    folder = write_tfds(tmp_path / "set", FEATURES["bytes"])
    source = open_dataset(config_for(folder, train_split=split), 3).train
    theirs = tfds.builder_from_directory(folder).as_data_source(split)
    assert [source[index]["label"] for index in range(len(source))] == [example["label"] for example in theirs]


# Decoding


def as_pillow_decodes(content):
    with Image.open(io.BytesIO(content)) as opened:
        return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("quality", "side"), [(100, 64), (75, 63), (20, 17), (95, 1)])
def test_jpeg_is_decoded_as_by_pillow_bit_for_bit(subsampling, progressive, quality, side):
    content = encoded(photo(0, side, side), subsampling=subsampling, progressive=progressive, quality=quality)
    np.testing.assert_array_equal(decode_image(content, side, 3), as_pillow_decodes(content))


def turned(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return {"exif": exif}


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
ODD = {
    "grey": encoded(photo(1).convert("L")),
    "cmyk": encoded(photo(1).convert("CMYK")),
    "rgb": encoded(photo(1), keep_rgb=True),
    "on its side": encoded(photo(1), **turned(6)),
    "on its side by XMP": encoded(photo(1), xmp=XMP),
    "bytes too many": encoded(photo(1)).replace(b"\xff\xda", b"\x00\x00\xff\xda", 1),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_jpeg_is_decoded_as_by_pillow(kind):
    np.testing.assert_array_equal(decode_image(ODD[kind], SIZE, 3), as_pillow_decodes(ODD[kind]))


def test_a_photo_on_its_side_is_turned():
    np.testing.assert_array_equal(
        decode_image(ODD["on its side"], SIZE, 3), np.rot90(decode_image(encoded(photo(1)), SIZE, 3), -1)
    )


@pytest.mark.parametrize("keep", [0, 3, 300, -40, -2])
def test_a_damaged_jpeg_is_named_in_one_line(tmp_path, keep):
    file = tmp_path / "cat.jpg"
    file.write_bytes(encoded(photo(2, 80, 80))[:keep])
    with pytest.raises(AlexNetError, match=r"cat\.jpg: not a readable image \(.+\); remove or replace it$"):
        decode_image(file, SIZE, 3)


# Batches


@pytest.fixture(scope="module")
def source():
    return open_dataset(DataConfig(), 3).test


def take(batches, count):
    taken = [next(batches) for _ in range(count)]
    return np.concatenate([batch["label"] for batch in taken]), np.concatenate([batch["image"] for batch in taken])


def test_the_order_is_that_of_grain(source):
    shuffled = grain.MapDataset.source(source).seed(3).shuffle().batch(300, drop_remainder=True).repeat()
    for step, batch in zip(range(2, 7), training_batches(source, 300, seed=3, start=2), strict=False):
        np.testing.assert_array_equal(batch["image"], shuffled[step]["image"])
        np.testing.assert_array_equal(batch["label"], shuffled[step]["label"])


@pytest.mark.parametrize("threads", [1, 5])
def test_the_order_does_not_depend_on_the_threads(source, threads):
    want = take(training_batches(source, 100, seed=1), 12)
    for mine, expected in zip(take(training_batches(source, 100, seed=1, threads=threads), 12), want, strict=True):
        np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("processes", [2, 3])
def test_the_rows_of_all_processes_are_the_batch_of_one(source, processes):
    whole = training_batches(source, 300, seed=1, start=1)
    parts = [training_batches(source, 300, 1, 1, process, processes) for process in range(processes)]
    for _ in range(5):
        batch, rows = next(whole), [next(part) for part in parts]
        assert {len(row["label"]) for row in rows} == {300 // processes}
        for name in ("image", "label"):
            np.testing.assert_array_equal(np.concatenate([row[name] for row in rows]), batch[name])


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_evaluate_every_example_once(source, processes):
    parts = [list(evaluation_batches(source, 300, process, processes)) for process in range(processes)]
    assert {len(part) for part in parts} == {4}
    labels = np.concatenate([row["label"] for rows in zip(*parts, strict=True) for row in rows])
    images = np.concatenate([row["image"] for rows in zip(*parts, strict=True) for row in rows])
    assert (labels[1000:] == -1).all()
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
source = open_dataset(DataConfig(dataset="cifar10_sample"), 3).test
rows = next(training_batches(source, 100, 1, 3, jax.process_index(), jax.process_count()))
sharding = jax.NamedSharding(jax.make_mesh((2,), ("batch",)), jax.P("batch"))
batch = {name: jax.make_array_from_process_local_data(sharding, part) for name, part in rows.items()}
weights = np.arange(1, 101, dtype=np.int32)
total = jax.jit(lambda batch: {name: (part.reshape(100, -1).astype("int32").sum(1) * weights).sum()
                               for name, part in batch.items()})(batch)
print(json.dumps({"rows": len(rows["label"]), **{name: int(value) for name, value in total.items()}}))
"""


def test_two_processes_of_jax_build_one_batch():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    commands = [[sys.executable, "-c", PROCESS, str(index), address] for index in (0, 1)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    said = [json.loads(process.communicate(timeout=60)[0].splitlines()[-1]) for process in started]
    source = open_dataset(DataConfig(dataset="cifar10_sample"), 3).test
    batch, weights = next(training_batches(source, 100, 1, 3)), np.arange(1, 101, dtype=np.int32)
    want = {name: int((part.reshape(100, -1).astype(np.int32).sum(1) * weights).sum()) for name, part in batch.items()}
    assert said == [{"rows": 50, **want}] * 2


def test_a_batch_that_processes_cannot_share_is_refused(source):
    with pytest.raises(UsageError, match=r"batch_size is 100: use a multiple of the 3 processes"):
        training_batches(source, 100, seed=0, process_count=3)


def test_a_damaged_image_among_the_batches_is_named(photos):
    folder = photos(splits=("train", "test"))
    (folder / "train" / "dog" / "3.png").write_bytes(b"no picture")
    batches = training_batches(open_dataset(config_for(folder), 3).train, 8, seed=0)
    with pytest.raises(AlexNetError, match=r"dog/3\.png: not a readable image"):
        take(batches, 2)


# The command


def test_synthetic_photos_take_the_space_of_photos(tmp_path):
    rng = np.random.default_rng(0)
    pixels = [feed_bench.synthetic_photo(rng, 256) for _ in range(4)]
    size = sum(len(encoded(Image.fromarray(image), quality=95)) for image in pixels)
    assert size / (4 * 256**2) == pytest.approx(0.55, abs=0.03)


TINY = ["--image_size", "24", "--batch_size", "4", "--seconds", "0.01", "--images", "12", "--json"]


def test_the_command_measures_its_own_feed_and_says_which_others_are_missing(capfd):
    missing = ["--tensorflow_python", "/no/python", "--torch_python", sys.executable]
    assert bench_data.main(TINY + missing) == 0
    result = json.loads(capfd.readouterr().out)
    assert result["cores"] >= 1
    rows = result["rows"]
    own = [row for row in rows if row["pipeline"] == "alexnet_jax"]
    assert {row["stored"] for row in own} == {"jpeg", "raw"}
    assert all(row["rate"]["images_per_second"] > 0 for row in own)
    remarks = {row["pipeline"]: row["remark"] for row in rows}
    assert "No such file" in remarks["tf.data"]
    assert "torch" in remarks["torch DataLoader"] or all(row["rate"] for row in rows if "torch" in row["pipeline"])


def test_the_command_measures_a_data_set_as_it_is(photos, capfd):
    folder = str(photos(splits=("train", "test")))
    assert (
        bench_data.main(["--dataset", folder, *TINY[:-1], "--torch_python", "/no", "--tensorflow_python", "/no"]) == 0
    )
    table = capfd.readouterr().out
    assert "alexnet_jax" in table
    assert "as it is" in table
    assert "TFDS" not in table


def test_what_others_read_are_the_same_images(tmp_path, source):
    feed_bench.export(source, 5, tmp_path)
    pixels = np.fromfile(tmp_path / "images.raw", np.uint8).reshape(5, 32, 32, 3)
    labels = np.fromfile(tmp_path / "labels.raw", np.int32)
    for index in range(5):
        np.testing.assert_array_equal(pixels[index], source[index]["image"])
        (file,) = tmp_path.glob(f"jpeg/{labels[index]:04}/{index:06}.jpg")
        assert np.abs(decode_image(file, 32, 3).astype(int) - pixels[index]).mean() < 10


@pytest.mark.parametrize("wrong", [["--batch_size", "0"], ["--images", "3", "--batch_size", "4"], ["--seconds", "-1"]])
def test_numbers_that_cannot_be_are_refused(wrong):
    with pytest.raises(UsageError, match=f"{wrong[0]} is {wrong[1]}"):
        bench_data.main(wrong)
