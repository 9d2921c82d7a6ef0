"""Measures tf.data on the images that ``alexnet bench data`` exports, and prints a line of JSON. Needs TensorFlow.

JPEG files are shuffled as a list of names, read and decoded with TensorFlow's accurate JPEG decoder. Raw pixels are
fixed-length records, shuffled through a buffer, because tf.data reads them in order.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import tensorflow as tf


def jpeg_images(directory, size, parallel):
    files = sorted((directory / "jpeg").glob("*/*.jpg"))
    labels = [int(file.parent.name) for file in files]
    examples = tf.data.Dataset.from_tensor_slices(([str(file) for file in files], labels))

    def read(file, label):
        image = tf.io.decode_jpeg(tf.io.read_file(file), channels=3, dct_method="INTEGER_ACCURATE")
        return tf.ensure_shape(image, (size, size, 3)), label

    return examples.shuffle(len(files)).repeat().map(read, num_parallel_calls=parallel)


def raw_images(directory, size, parallel):
    images = tf.data.FixedLengthRecordDataset(str(directory / "images.raw"), 3 * size * size)
    labels = tf.data.FixedLengthRecordDataset(str(directory / "labels.raw"), 4)

    def read(image, label):
        return tf.reshape(tf.io.decode_raw(image, tf.uint8), (size, size, 3)), tf.io.decode_raw(label, tf.int32)[0]

    examples = tf.data.Dataset.zip((images, labels)).shuffle(1000).repeat()
    return examples.map(read, num_parallel_calls=parallel)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("stored", choices=["jpeg", "raw"])
    for name, kind in {"threads": int, "image_size": int, "batch_size": int, "seconds": float}.items():
        parser.add_argument(f"--{name}", type=kind, required=True)
    options = parser.parse_args()
    read = jpeg_images if options.stored == "jpeg" else raw_images
    examples = read(options.directory, options.image_size, options.threads)
    batches = examples.batch(options.batch_size, drop_remainder=True).prefetch(2)
    threading = tf.data.Options()
    threading.threading.private_threadpool_size = options.threads
    iterator = batches.with_options(threading).as_numpy_iterator()
    for _ in range(2 * options.threads + 1):
        next(iterator)
    images, start, cpu_start = 0, time.perf_counter(), cpu_seconds()
    while time.perf_counter() < start + options.seconds:
        images += len(next(iterator)[1])
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu_start
    print(json.dumps({"images_per_second": images / seconds, "images_per_cpu_second": images / cpu}))


if __name__ == "__main__":
    main()
