"""Caffe's bvlc_alexnet as the ONNX project publishes it, run by ONNX Runtime at full size.

The package onnx has the graph. Its weights are constants, and become inputs here. Differences are max |a - b| / max |b|
and about 1e-6. Likely mistakes change the logits much more: normalisation within the towers by 2e-3, the order of
CaffeNet by 3e-2, alpha not divided by the window by 0.2, k = 2 by 0.6.
"""

from __future__ import annotations

import math
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from alexnet_jax.config import AugmentConfig, DataConfig, TrainConfig
from alexnet_jax.net.model import AlexNet
from alexnet_jax.preprocessing.statistics import published_statistics
from alexnet_jax.training.layouts import TwoTowers
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.variants import variant
from alexnet_jax.weights.channels_first import from_channels_first

pytestmark = [pytest.mark.slow, pytest.mark.optimized]

GRAPH = Path(onnx.__file__).parent / "backend/test/data/light/light_bvlc_alexnet.onnx"
MODEL = variant("caffe_alexnet")


def bvlc_alexnet_graph() -> onnx.ModelProto:
    """The graph with its weights and a batch of two 227-pixel images as inputs, and pool5 and fc8 as outputs.

    The nodes that make the weights and the softmax are removed.
    """
    model = onnx.load(GRAPH)
    sizes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes = {node.output[0]: sizes[node.input[0]] for node in model.graph.node if node.op_type == "ConstantOfShape"}
    nodes = [node for node in model.graph.node if node.op_type not in ("ConstantOfShape", "Softmax")]
    (flatten,) = (node for node in nodes if node.op_type == "Reshape")

    def values(name, shape):
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [int(size) for size in shape])

    inputs = [values("data_0", (2, 3, 227, 227)), *(values(name, shape) for name, shape in shapes.items())]
    outputs = [values(flatten.input[0], (2, 256, 6, 6)), values(nodes[-1].output[0], (2, 1000))]
    flat_shape = numpy_helper.from_array(np.array([2, -1]), flatten.input[1])
    graph = helper.make_graph(nodes, "bvlc_alexnet", inputs, outputs, [flat_shape])
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)


@cache
def session_and_weights():
    """A session that runs the graph, and random weights by the names of its inputs."""
    session = onnxruntime.InferenceSession(bvlc_alexnet_graph().SerializeToString(), providers=["CPUExecutionProvider"])
    rng, weights = np.random.default_rng(0), {}
    for value in session.get_inputs()[1:]:
        stddev = math.sqrt(2 / math.prod(value.shape[1:]))  # keeps the variance from layer to layer
        if value.name.startswith("conv1"):
            stddev = 0.01  # for pixels of about 60
        weights[value.name] = rng.standard_normal(value.shape, dtype=np.float32) * np.float32(stddev)
    return session, weights


def reference(images):
    """ONNX Runtime's pool5, channels last, and fc8 for float images (2, 227, 227, RGB)."""
    session, weights = session_and_weights()
    pixels = np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2))
    pool5, fc8 = session.run(None, {"data_0": pixels, **weights})
    return pool5.transpose(0, 2, 3, 1), fc8


def our_params():
    weights = session_and_weights()[1]
    names = [f"conv{number}" for number in range(1, 6)] + list(MODEL.dense_names)
    layers = {name: {"kernel": weights[f"{name}_w_0"], "bias": weights[f"{name}_b_0"]} for name in names}
    return from_channels_first(layers, MODEL, is_bgr=True)


def check(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_one_device_equals_onnx_runtime():
    images = 60 * np.random.default_rng(1).standard_normal((2, 227, 227, 3), dtype=np.float32)
    pool5, fc8 = reference(images)
    net = jax.jit(partial(AlexNet(MODEL).apply, mutable="intermediates"))
    logits, seen = net({"params": our_params()}, images)
    check(seen["intermediates"]["pool5"], pool5)
    check(logits, fc8)


def test_two_devices_equal_onnx_runtime():
    stored = np.random.default_rng(2).integers(0, 256, (2, 227, 227, 3), dtype=np.uint8)
    statistics = published_statistics(3)
    _, fc8 = reference(stored.astype(np.float32) - np.asarray(statistics.mean))
    config = TrainConfig(MODEL, DataConfig(image_size=227), AugmentConfig(mean="channel"))
    shapes = jax.eval_shape(partial(create_train_state, config), jax.random.key(0), statistics)
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    state = state.replace(params=our_params(), statistics=statistics)
    two = TwoTowers(config, jax.devices()[:2])
    scores = two.predict_step(two.place(state), jnp.asarray(stored), "center")
    check(scores, jax.nn.log_softmax(fc8))
