"""Caffe's binary files: both formats, every field that is read, and damaged files."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.weights.caffe_file import read_caffemodel, read_mean
from alexnet_jax.weights.channels_first import to_channels_first
from tests.helpers.references import REFERENCES, draw, tiny

SAMPLES = REFERENCES / "caffe"
CURRENT, V1 = SAMPLES / "tiny_caffe_alexnet.caffemodel", SAMPLES / "tiny_caffe_alexnet_v1.caffemodel"
MEAN = SAMPLES / "tiny_mean.binaryproto"


def field(number, value):
    """A field in protobuf's wire format, independent of the schema of this package."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value):
    value %= 2**64
    low, value = value & 127, value >> 7
    return bytes([low | 128]) + varint(value) if value else bytes([low])


def blob(array, shape=None):
    packed = b"".join(varint(size) for size in (array.shape if shape is None else shape))
    number = 8 if array.dtype == np.float64 else 5
    return field(7, field(1, packed)) + field(number, array.tobytes())


def v1_blob(array, shape):
    return b"".join(field(i + 1, size) for i, size in enumerate(shape)) + field(5, array.tobytes())


KERNEL, BIAS = np.arange(12, dtype=np.float32).reshape(3, 4), np.arange(3, dtype=np.float32)


def dense(*blobs, settings=b""):
    content = field(1, "fc6") + field(2, "InnerProduct") + b"".join(field(7, part) for part in blobs)
    return field(100, content + field(117, settings))


def write(tmp_path, content):
    file = tmp_path / "net.caffemodel"
    file.write_bytes(content)
    return file


def refused(read, path, match):
    with pytest.raises(AlexNetError, match=match) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path.name}: ")
    assert str(caught.value).count(path.name) == 1


@pytest.mark.parametrize("sample", [CURRENT, V1])
def test_both_formats_read_back_bit_for_bit(sample):
    config = tiny("caffe_alexnet")
    params, _, _ = draw("caffe_alexnet", config, seed=1, batch=6)
    drawn = to_channels_first(params, config, is_bgr=True)
    found = {layer.name: layer.arrays for layer in read_caffemodel(sample).layers if layer.arrays}
    assert list(found) == list(drawn)
    for name, (kernel, bias) in found.items():
        assert kernel.dtype == bias.dtype == np.float32
        np.testing.assert_array_equal(kernel, drawn[name]["kernel"], strict=True)
        np.testing.assert_array_equal(bias, drawn[name]["bias"], strict=True)


@pytest.mark.parametrize("sample", [CURRENT, V1])
def test_both_formats_describe_the_same_layers(sample):
    net = read_caffemodel(sample)
    assert net.image_size == 67
    order = "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5"
    order += " fc6 relu6 fc7 relu7 fc8 loss"
    layers = {layer.name: layer for layer in net.layers if layer.kind != "Input"}
    assert list(layers) == order.split()
    assert [layers[name].kind for name in ("conv1", "relu1", "norm1", "pool1", "fc6", "loss")] == [
        "Convolution",
        "ReLU",
        "LRN",
        "Pooling",
        "InnerProduct",
        "SoftmaxWithLoss",
    ]
    norm = {"local_size": 5, "alpha": 0.0001, "beta": 0.75, "k": 1.0, "norm_region": "ACROSS_CHANNELS"}
    assert layers["norm1"].settings == norm
    assert layers["conv1"].settings == {"kernel_size": 11, "stride": 4, "pad": 0, "dilation": 1, "group": 1}
    assert layers["conv2"].settings == {"kernel_size": 5, "stride": 1, "pad": 2, "dilation": 1, "group": 2}
    assert layers["pool5"].settings == {"pool": "MAX", "kernel_size": 3, "stride": 2, "pad": 0}


def test_mean_image_is_read_as_height_width_rgb():
    noise = 2 * np.random.RandomState(2).standard_normal((1, 3, 67, 67))
    drawn = (np.array([104.91, 119.72, 127.30]).reshape(1, 3, 1, 1) + noise).astype(np.float32)
    found = read_mean(MEAN)
    np.testing.assert_array_equal(found, drawn[0, ::-1].transpose(1, 2, 0), strict=True)


def test_hyperparameters_of_a_file_are_read(tmp_path):
    conv = field(9, 1) + field(10, 2) + field(11, 3) + field(12, 3) + field(6, 2) + field(18, 2) + field(2, 0)
    kernel = np.zeros((2, 1, 3, 3), np.float32)
    norm = field(1, 3) + field(2, 5e-5) + field(3, 0.5) + field(4, 1) + field(5, 2.0)
    content = field(100, field(1, "c") + field(2, "Convolution") + field(7, blob(kernel)) + field(106, conv))
    content += field(100, field(1, "n") + field(2, "LRN") + field(118, norm))
    content += field(100, field(1, "p") + field(2, "Pooling") + field(121, field(1, 1) + field(2, 2)))
    content += field(100, field(1, b"\xff") + field(2, "Mystery"))
    conv, norm, pool, other = read_caffemodel(write(tmp_path, content)).layers
    assert len(conv.arrays) == 1
    assert conv.settings == {"kernel_size": 3, "stride": 2, "pad_h": 1, "pad_w": 2, "dilation": 2, "group": 1}
    assert norm.settings == {"local_size": 3, "alpha": 5e-5, "beta": 0.5, "k": 2.0, "norm_region": "WITHIN_CHANNEL"}
    assert pool.settings == {"pool": "AVE", "kernel_size": 2, "stride": 1, "pad": 0}
    assert (other.name, other.kind, other.settings) == ("\ufffd", "Mystery", {})


def test_doubles_split_arrays_and_transposed_kernels_are_read(tmp_path):
    content = dense(blob(KERNEL.astype(np.float64)), blob(BIAS))
    split = field(7, field(1, b"\x03\x04")) + field(5, KERNEL.tobytes()[:20]) + field(5, KERNEL.tobytes()[20:])
    content += dense(split, blob(BIAS)) + dense(blob(np.ascontiguousarray(KERNEL.T)), blob(BIAS), settings=field(6, 1))
    content += dense(blob(KERNEL), settings=field(2, 0)) + dense(blob(KERNEL * np.nan), blob(BIAS))
    layers = read_caffemodel(write(tmp_path, content)).layers
    assert layers[0].arrays[0].dtype == np.float64
    for layer in layers[:4]:
        np.testing.assert_array_equal(layer.arrays[0], KERNEL)
    assert len(layers[3].arrays) == 1
    assert np.isnan(layers[4].arrays[0]).all()


@pytest.mark.parametrize(
    ("extra", "size"),
    [
        (b"", None),
        (field(100, field(2, "Data") + field(100, field(3, 227))), 227),
        (field(100, field(2, "Data") + field(107, field(5, 226))), 226),
        (field(100, field(2, "ImageData") + field(115, field(5, 225))), 225),
        (field(100, field(143, field(1, field(1, b"\x0a\x03\x43\x43")))), 67),
        (field(100, field(143, field(1, field(1, b"\x0a\x03\x43\x42")))), None),
        (field(8, field(1, b"\x0a\x03\x43\x43")), 67),
        (b"".join(field(4, size) for size in (10, 3, 67, 67)), 67),
        (b"".join(field(4, size) for size in (10, 3, -1, -1)), None),
    ],
)
def test_image_size_is_found_in_every_field_that_caffe_used(tmp_path, extra, size):
    file = write(tmp_path, extra + dense(blob(KERNEL), blob(BIAS)))
    assert read_caffemodel(file).image_size == size


@pytest.mark.parametrize(("number", "inner"), [(36, 3), (11, 5), (15, 5)])
def test_image_size_is_found_in_v1_files(tmp_path, number, inner):
    arrays = field(6, v1_blob(KERNEL, (1, 1, 3, 4))) + field(6, v1_blob(BIAS, (1, 1, 1, 3)))
    content = field(2, field(4, "data") + field(5, 5) + field(number, field(inner, 227)))
    content += field(2, field(4, "fc6") + field(5, 14) + arrays) + field(2, field(4, "odd") + field(5, 99))
    net = read_caffemodel(write(tmp_path, content))
    assert net.image_size == 227
    assert [layer.kind for layer in net.layers] == ["Data", "InnerProduct", "V1 type 99"]
    np.testing.assert_array_equal(net.layers[1].arrays[0], KERNEL, strict=True)
    np.testing.assert_array_equal(net.layers[1].arrays[1], BIAS, strict=True)


@pytest.mark.parametrize("sample", [CURRENT, V1])
def test_nets_truncated_inside_a_layer_are_refused(tmp_path, sample):
    content = sample.read_bytes()
    head = content.index(b"conv1")
    kernels = [content.index(name) for name in (b"conv2", b"conv3", b"conv4", b"conv5", b"fc6", b"fc7", b"fc8")]
    # A net truncated between two layers is a valid net with fewer layers, so every cut here is inside one.
    cuts = [*range(0, head, 8), *np.linspace(head, content.index(b"fc8"), 40, dtype=int), *kernels]
    for length in cuts:
        refused(read_caffemodel, write(tmp_path, content[:length]), "truncated|no layer with weights|damaged|arrays")


def test_truncated_mean_images_are_refused(tmp_path):
    content = MEAN.read_bytes()
    for length in [*range(20), *np.linspace(20, len(content) - 1, 40, dtype=int)]:
        refused(read_mean, write(tmp_path, content[:length]), "truncated|damaged")


@pytest.mark.parametrize(
    ("layer", "match"),
    [
        (dense(), "fc6 has 0 arrays, not 2"),
        (dense(blob(KERNEL)), "fc6 has 1 arrays, not 2"),
        (dense(blob(KERNEL), blob(BIAS), blob(BIAS)), "fc6 has 3 arrays"),
        (dense(blob(KERNEL, (3, 5)), blob(BIAS)), "fc6 is damaged"),
        (dense(blob(KERNEL, (-3, -4)), blob(BIAS)), "fc6 is damaged"),
        (dense(blob(KERNEL, (2**62, 2**62)), blob(BIAS)), "fc6 is damaged"),
        (dense(blob(KERNEL, (0, 4)), blob(BIAS)), "fc6 is damaged"),
        (dense(blob(KERNEL, (1,) * 31 + (3, 4)), blob(BIAS)), "fc6 is damaged"),
        (dense(blob(KERNEL, (2, 6, 1)), blob(BIAS)), "fc6 has arrays of"),
        (dense(b"", b""), "fc6 is damaged"),
        (field(100, field(1, "relu1") + field(2, "ReLU")), "no layer with weights"),
        (field(2, field(1, field(1, "conv1"))), "Caffe's V0 format"),
        (field(100, b"") * 10_001, "10,001 layers"),
        (field(100, field(1, "a\nb\x1b") + field(2, "Convolution")), r"a\\nb\\x1b has 0 arrays"),
    ],
)
def test_inconsistent_nets_are_refused(tmp_path, layer, match):
    refused(read_caffemodel, write(tmp_path, layer), match)


@pytest.mark.parametrize(
    ("mean", "match"),
    [
        (v1_blob(np.zeros(16, np.float32), (1, 1, 4, 4)), r"shape \(1, 4, 4\), not \(3, height, width\)"),
        (v1_blob(np.zeros(96, np.float32), (2, 3, 4, 4)), "shape"),
        (v1_blob(np.zeros(48, np.float32), (1, 3, 4, 5)), "damaged"),
        (v1_blob(np.zeros(48, np.float32), (1, 3, -4, -4)), "damaged"),
        (blob(np.zeros(48, np.float32)), "shape"),
    ],
)
def test_mean_images_of_another_shape_are_refused(tmp_path, mean, match):
    refused(read_mean, write(tmp_path, mean), match)


@pytest.mark.parametrize("read", [read_caffemodel, read_mean])
@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(1000), b"PK\x03\x04" + bytes(100)])
def test_other_files_are_refused(tmp_path, read, content):
    refused(read, write(tmp_path, content), "truncated, or not a binary file of Caffe|no layer|damaged")
    refused(read, tmp_path / "nowhere.caffemodel", "cannot be read")
    refused(read, tmp_path, "cannot be read")


def test_nets_and_mean_images_are_not_confused():
    refused(read_mean, CURRENT, "damaged")
    refused(read_caffemodel, MEAN, "no layer with weights|truncated")
