"""Data sets of TFDS, written in different encodings."""

from __future__ import annotations

import io

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from tensorflow_datasets.core.example_serializer import ExampleSerializer

SIZE = 24


def photo(seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def encode(image, kind):
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


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


def write_tfds(directory, image_feature, images=20, options="group_size:1,uncompressed"):
    """Writes a data set of two shards, with a text before the image and numbers after it."""
    features = tfds.features.FeaturesDict(
        {
            "a_name": tfds.features.Text(),
            "image": image_feature,
            "label": tfds.features.ClassLabel(num_classes=images),
            "z_box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
        }
    )
    directory.mkdir()
    counts = [images // 2, images - images // 2]
    splits = []
    for split in ("train", "test"):
        template = tfds.core.ShardedFileTemplate(
            data_dir=directory, dataset_name="mine", split=split, filetype_suffix="array_record"
        )
        for shard, count in enumerate(counts):
            writer = ArrayRecordWriter(str(template.sharded_filepath(shard_index=shard, num_shards=2)), options)
            for index in range(shard * counts[0], shard * counts[0] + count):
                pixels = np.asarray(photo(index))
                example = {"a_name": f"{index}", "image": pixels, "label": index, "z_box": np.ones(4, np.float32)}
                if isinstance(image_feature, tfds.features.Image):
                    example["image"] = encode(photo(index), image_feature._image_encoder.encoding_format)
                serializer = ExampleSerializer(features.get_serialized_info())
                writer.write(serializer.serialize_example(features.encode_example(example)))
            writer.close()
        splits.append(tfds.core.SplitInfo(split, counts, 1000, template))
    tfds.folder_dataset.write_metadata(
        data_dir=directory, features=features, split_infos=splits, check_data=False, disable_shuffling=True
    )
    return directory
