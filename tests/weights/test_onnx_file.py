"""Caffe's AlexNet in the form of the ONNX model zoo."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import alexnet_jax
from alexnet_jax.config import DenseConfig
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.variants import variant
from alexnet_jax.weights.channels_first import layer_shapes, to_channels_first
from alexnet_jax.weights.read import read_weights
from tests.helpers.references import REFERENCES, difference
from tests.helpers.trees import assert_same
from tests.helpers.zoo import drawn_layers, zoo_graph, zoo_model

MEAN = REFERENCES / "caffe" / "tiny_mean.binaryproto"


def narrow():
    """``caffe_alexnet`` at full image size with few channels and 20 classes."""
    model = variant("caffe_alexnet")
    widths = (8, 16, 12, 12, 8)
    convs = tuple(
        dataclasses.replace(conv, features=features) for conv, features in zip(model.convs, widths, strict=True)
    )
    return dataclasses.replace(model, convs=convs, dense=(DenseConfig(16), DenseConfig(16)), classes=20)


def small_zoo_model():
    return zoo_model(drawn_layers(layer_shapes(narrow())))


def save(model, directory, name="net.onnx") -> Path:
    (directory / name).write_bytes(model.SerializeToString())
    return directory / name


def check_against_onnx_runtime(layers, directory):
    """Reads the graph at Caffe's crop size, and compares its probabilities of random images with ONNX Runtime's."""
    path = save(zoo_model(layers, image_size=227), directory)
    weights = alexnet_jax.load_weights(path)
    assert weights.config.model.image_size == 227
    assert_same(to_channels_first(weights.params, weights.config.model, is_bgr=True), layers)
    pixels = 60 * np.random.default_rng(1).standard_normal((1, 3, 227, 227), np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"data_0": pixels})
    net = alexnet_jax.AlexNet(weights.config.model)
    images = jax.numpy.asarray(pixels[:, ::-1].transpose(0, 2, 3, 1))  # BGR to RGB
    logits = net.apply({"params": jax.tree.map(jax.numpy.asarray, weights.params)}, images, train=False)
    assert difference(jax.nn.softmax(logits), expected) < 1e-4


def test_the_graph_of_the_model_zoo_is_read_as_caffe_alexnet(tmp_path):
    check_against_onnx_runtime(drawn_layers(layer_shapes(narrow())), tmp_path)


@pytest.mark.slow
@pytest.mark.optimized
def test_the_graph_of_the_model_zoo_is_read_at_full_size(tmp_path):
    check_against_onnx_runtime(drawn_layers(layer_shapes(variant("caffe_alexnet"))), tmp_path)


def test_the_net_and_its_preprocessing_are_those_of_a_caffemodel(tmp_path):
    weights = read_weights(save(small_zoo_model(), tmp_path))
    caffe = variant("caffe_alexnet")
    assert weights.config.model.local_response_norm == caffe.local_response_norm
    assert [conv.then for conv in weights.config.model.convs] == [conv.then for conv in caffe.convs]
    assert weights.config.data.resize == "squash"
    assert weights.statistics.mean.tolist() == [123.0, 117.0, 104.0]


def test_the_mean_image_of_caffe_can_be_used(tmp_path):
    path = save(zoo_model(drawn_layers(layer_shapes(narrow()))), tmp_path)
    with pytest.raises(AlexNetError, match=r"data\.image_size is 67"):  # the mean image has 67 pixels, a crop 227
        read_weights(path, mean=MEAN)


def test_transposed_kernels_of_dense_layers_are_read(tmp_path):
    before = small_zoo_model()
    after = small_zoo_model()
    for node in after.graph.node:
        if node.op_type == "Gemm":
            node.ClearField("attribute")
    for tensor in after.graph.initializer:
        if tensor.name.startswith("fc") and len(tensor.dims) == 2:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).T.copy(), tensor.name))
    found = [read_weights(save(model, tmp_path, f"{index}.onnx")) for index, model in enumerate((before, after))]
    assert_same(found[0].params, found[1].params)


def node_of(model, operation):
    return next(node for node in model.graph.node if node.op_type == operation)


def with_attribute(operation, **attributes):
    model = small_zoo_model()
    node = node_of(model, operation)
    kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
    node.ClearField("attribute")
    node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])
    return model


def with_tensor(**fields):
    model = small_zoo_model()
    for name, value in fields.items():
        setattr(model.graph.initializer[0], name, value)
    return model


def with_operation(before, after):
    model = small_zoo_model()
    node_of(model, before).op_type = after
    return model


def of_this_project():
    model = small_zoo_model()
    model.producer_name = "alexnet_jax"
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (zoo_graph, "n0: conv1_w_0 is not stored in the file; use one with trained weights"),
        (of_this_project, "is an export of alexnet_jax"),
        (onnx.ModelProto, "has no graph"),
        (lambda: with_operation("Conv", "QLinearConv"), "is quantised; use the float32 file"),
        (lambda: with_operation("LRN", "Sigmoid"), "is neither bvlc_alexnet nor CaffeNet: its layers are Conv"),
        (lambda: with_operation("MaxPool", "AveragePool"), "is neither bvlc_alexnet nor CaffeNet"),
        (lambda: with_attribute("Conv", strides=[2, 2]), "n0: stride is 2, and AlexNet has 4"),
        (lambda: with_attribute("Conv", strides=[4, 2]), r"n0: stride is [4, 2], and AlexNet has 4"),
        (lambda: with_attribute("Conv", auto_pad="SAME_UPPER"), "n0: has automatic padding"),
        (lambda: with_attribute("MaxPool", kernel_shape=[2, 2]), "n3: kernel_size is 2, and AlexNet has 3"),
        (lambda: with_attribute("Gemm", transB=1, alpha=0.5), "n16: scales or transposes its inputs"),
        (lambda: with_tensor(data_location=onnx.TensorProto.EXTERNAL), "conv1_w_0 is stored in another file"),
        (lambda: with_tensor(data_type=onnx.TensorProto.INT8), "conv1_w_0 does not consist of floats"),
        (lambda: with_tensor(raw_data=bytes(8)), "n0 is damaged"),
    ],
)
def test_other_graphs_are_refused_in_one_line(tmp_path, make, message):
    path = save(make(), tmp_path)
    with pytest.raises(AlexNetError) as error:
        read_weights(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_without_the_package_onnx_the_error_names_the_extra(tmp_path, monkeypatch):
    path = save(small_zoo_model(), tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else find(name))
    with pytest.raises(UsageError, match=r"reading \.onnx files needs the package onnx: .* --extra export"):
        read_weights(path)
