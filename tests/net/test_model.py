import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import Dropout
from alexnet_jax.net.model import AlexNet
from alexnet_jax.net.summary import summarize_model
from alexnet_jax.variants import VARIANTS, variant
from tests.helpers import formulas
from tests.helpers.nets import tiny_model

# Parameters and multiply-accumulates of one image, published or computed from the published shapes.
COUNTS = {
    "paper": (60_965_224, 724_406_816),
    "original": (60_965_224, 724_406_816),
    "caffe_alexnet": (60_965_224, 724_406_816),
    "caffenet": (60_965_224, 724_406_816),
    "single_tower": (62_378_344, 1_135_256_096),
    "torchvision": (61_100_840, 714_188_480),
    "single_tower_227": (61_266_088, 861_274_400),
    "d2l": (46_764_746, 938_100_000),
    "slim_v2": (50_303_912, 736_600_000),
    "one_gpu": (59_798_312, 391_500_000),
}

# Output shape, parameters and multiply-accumulates of the paper's layers.
PAPER_LAYERS = {
    "conv1": ((55, 55, 96), 34_944, 105_415_200),
    "conv2": ((27, 27, 256), 307_456, 223_948_800),
    "conv3": ((13, 13, 384), 885_120, 149_520_384),
    "conv4": ((13, 13, 384), 663_936, 112_140_288),
    "conv5": ((13, 13, 256), 442_624, 74_760_192),
    "fc6": ((4096,), 37_752_832, 37_748_736),
    "fc7": ((4096,), 16_781_312, 16_777_216),
    "fc8": ((1000,), 4_097_000, 4_096_000),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_as_published(name):
    summary = summarize_model(variant(name))
    parameters, macs = COUNTS[name]
    assert summary.parameters == parameters
    assert summary.macs == pytest.approx(macs, rel=1e-4)


def test_counts_of_each_layer_of_the_paper_are_as_published():
    rows = {row.name: (row.shape, row.parameters, row.macs) for row in summarize_model(variant("paper")).rows}
    assert {name: rows[name] for name in PAPER_LAYERS} == PAPER_LAYERS


@pytest.mark.parametrize("name", VARIANTS)
def test_every_intermediate_has_the_name_of_its_layer(name):
    config = variant(name)
    images = jax.ShapeDtypeStruct((2, config.image_size, config.image_size, config.channels), jnp.float32)
    net = AlexNet(config)
    params = jax.eval_shape(net.init, jax.random.key(0), images)
    logits, seen = jax.eval_shape(lambda tree, x: net.apply(tree, x, mutable="intermediates"), params, images)
    assert set(seen["intermediates"]) == {layer.name for layer in config.layers()}
    assert logits.shape == (2, config.classes)


def numpy_forward(config, params, images):
    """The forward pass at test time, from the formulas."""
    x = images
    for number, conv in enumerate(config.convs, start=1):
        layer = params[f"conv{number}"]
        x = (
            formulas.convolution(x, layer["kernel"], conv.stride, conv.padding, conv.rounding, conv.groups)
            + layer["bias"]
        )
        for operation in conv.then:
            if operation == "relu":
                x = np.maximum(x, 0)
            elif operation == "max_pool":
                x = formulas.max_pool(x, config.max_pool.size, config.max_pool.stride, config.max_pool.rounding)
            elif operation == "local_response_norm":
                norm = config.local_response_norm
                alpha = norm.alpha / norm.size if norm.divide_alpha else norm.alpha
                x = formulas.local_response_norm(x, norm.size, norm.k, alpha, norm.beta, config.towers)
            else:
                norm = config.spatial_response_norm
                x = formulas.spatial_response_norm(x, norm.size, norm.k, norm.alpha, norm.beta)
    x = x.reshape(len(x), -1)
    for name in config.dense_names:
        x = x @ params[name]["kernel"] + params[name]["bias"]
        if name != config.dense_names[-1]:
            x = np.maximum(x, 0) * (1 - config.dropout.rate)
    return x


@pytest.mark.parametrize("name", ["paper", "original"])
def test_logits_match_the_formulas(name):
    config = tiny_model(name)
    images = 60 * np.random.default_rng(0).standard_normal((1, 67, 67, 3)).astype(np.float32)
    net = AlexNet(config)
    params = jax.jit(net.init)(jax.random.key(0), jnp.asarray(images))["params"]
    params = jax.tree.map(lambda leaf: 3.0 * leaf, params)  # larger, so that all parts of every layer matter
    want = numpy_forward(config, jax.tree.map(np.asarray, params), images.astype(np.float64))
    found = jax.jit(partial(net.apply, train=False))({"params": params}, jnp.asarray(images))
    np.testing.assert_allclose(found, want, rtol=2e-4)


def test_initial_weights_are_as_published():
    for name, conv_stddev in (("paper", 0.01), ("original", 0.03)):
        config = variant(name)
        dense = tuple(dataclasses.replace(layer, features=256) for layer in config.dense)
        config = dataclasses.replace(config, image_size=67, dense=dense)
        params = jax.jit(AlexNet(config).init)(jax.random.key(0), jnp.zeros((1, 67, 67, 3), jnp.float32))["params"]
        for layer, bias in zip(params, (0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0), strict=True):
            stddev = conv_stddev if layer in ("conv3", "conv4", "conv5") else 0.01
            assert float(params[layer]["kernel"].std()) == pytest.approx(stddev, rel=0.03)
            assert set(np.unique(params[layer]["bias"])) == {bias}


@pytest.mark.parametrize("scaled_in", ["test", "training"])
@pytest.mark.parametrize("place", ["after", "before"])
def test_dropout_keeps_the_mean_of_the_logits(place, scaled_in):
    """The mean over many masks equals the value at test time."""
    model = dataclasses.replace(tiny_model("paper"), dropout=Dropout(place=place, scaled_in=scaled_in), dense=())
    model = dataclasses.replace(model, dense=tiny_model("paper").dense[:1])
    net, images = AlexNet(model), jnp.ones((1, 67, 67, 3), jnp.float32)
    params = jax.tree.map(
        jnp.abs, jax.jit(net.init)(jax.random.key(0), images)["params"]
    )  # positive, so that ReLU is linear

    def logits(key):
        return net.apply({"params": params}, images, train=True, rngs={"dropout": key})

    trained = jax.jit(jax.vmap(logits))(jax.random.split(jax.random.key(1), 3000))
    assert float(trained.std(0).mean()) > 0
    np.testing.assert_allclose(trained.mean(0), net.apply({"params": params}, images, train=False), rtol=0.02)


def test_dropout_scales_in_training_or_at_test():
    images = jnp.ones((1, 67, 67, 3), jnp.float32)
    for scaled_in in ("test", "training"):
        net = AlexNet(dataclasses.replace(tiny_model("paper"), dropout=Dropout(scaled_in=scaled_in)))
        params = jax.jit(net.init)(jax.random.key(0), images)
        seen = net.apply(params, images, train=False, mutable="intermediates")[1]["intermediates"]
        ratio = 0.5 if scaled_in == "test" else 1.0
        np.testing.assert_allclose(seen["drop6"], ratio * seen["relu6"], rtol=1e-6)
        key = {"dropout": jax.random.key(1)}
        seen = net.apply(params, images, train=True, rngs=key, mutable="intermediates")[1]["intermediates"]
        kept = np.asarray(seen["drop6"]) > 0
        assert kept.any()
        ratio = 1.0 if scaled_in == "test" else 2.0
        np.testing.assert_allclose(seen["drop6"][kept], ratio * seen["relu6"][kept], rtol=1e-6)


def test_forward_mode_derivatives_agree_with_reverse_mode():
    net = AlexNet(tiny_model("paper"))
    images = 50 * jax.random.normal(jax.random.key(0), (2, 67, 67, 3))
    params = jax.jit(net.init)(jax.random.key(1), images)["params"]
    leaves, tree = jax.tree.flatten(params)

    def draw(seed):
        keys = jax.random.split(jax.random.key(seed), len(leaves))
        return tree.unflatten([jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)])

    def along(one, other):
        return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, one, other)))

    def loss(params):
        return jax.nn.logsumexp(net.apply({"params": params}, images)).sum()

    @jax.jit
    def derivatives(params, one, other):
        slope = jax.jvp(loss, (params,), (one,))[1]
        gradient, hessian_times = jax.linearize(jax.grad(loss), params)
        return slope, along(gradient, one), along(hessian_times(one), other), along(hessian_times(other), one)

    slope, same_slope, curvature, same_curvature = map(float, derivatives(params, draw(2), draw(3)))
    assert slope == pytest.approx(same_slope, rel=1e-3)
    assert slope != 0
    assert curvature == pytest.approx(same_curvature, rel=1e-2)


def test_bfloat16_net_has_logits_and_gradients_near_those_of_float32():
    config = tiny_model("original")
    images = 50 * jax.random.normal(jax.random.key(0), (4, 67, 67, 3))
    params = jax.jit(AlexNet(config).init)(jax.random.key(1), images)["params"]
    key = {"dropout": jax.random.key(2)}

    @partial(jax.jit, static_argnums=0)
    def run(dtype):
        net = AlexNet(config, dtype=dtype)
        logits, seen = net.apply({"params": params}, images, mutable="intermediates")

        def loss(params):
            logits = net.apply({"params": params}, images, train=True, rngs=key)
            return jax.nn.logsumexp(logits).sum()

        return logits, seen["intermediates"], jax.grad(loss)(params)

    (logits, _, gradients), (rounded, seen, rounded_gradients) = run("float32"), run("bfloat16")
    assert {name for name, array in seen.items() if array.dtype != jnp.bfloat16} == {config.dense_names[-1]}
    assert {array.dtype.name for array in jax.tree.leaves((rounded, rounded_gradients))} == {"float32"}
    assert 0 < relative_distance(rounded, logits) < 0.02
    for one, other in zip(jax.tree.leaves(rounded_gradients), jax.tree.leaves(gradients), strict=True):
        assert relative_distance(one, other) < 0.3


def test_gradient_of_a_bias_is_summed_in_float32_in_a_bfloat16_net():
    """The gradient is 2,025, which bfloat16 cannot represent."""
    net, images = AlexNet(tiny_model("paper"), dtype=jnp.bfloat16), jnp.zeros((9, 67, 67, 3), jnp.float32)
    params = jax.jit(net.init)(jax.random.key(0), images)["params"]

    def total(params):
        _, seen = net.apply({"params": params}, images, mutable="intermediates")
        return seen["intermediates"]["conv1"].astype(jnp.float32).sum()

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(params)["conv1"]["bias"], 9 * 15 * 15)


def relative_distance(one, other):
    return float(jnp.linalg.norm(one - other) / jnp.linalg.norm(other))
