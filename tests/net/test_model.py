import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import AveragePool, ConvConfig, Dropout, ModelConfig
from alexnet_jax.errors import UsageError
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
    "alexnet_bn": (60_965_224, 724_406_816),
    "single_tower": (62_378_344, 1_135_256_096),
    "torchvision": (61_100_840, 714_188_480),
    "single_tower_227": (61_266_088, 861_274_400),
    "d2l": (46_764_746, 938_100_000),
    "slim_v2": (50_303_912, 736_600_000),
    "one_gpu": (59_798_312, 391_500_000),
    "one_weird_trick": (61_100_840, 714_188_480),
    "shili8": (62_378_344, 1_135_256_096),
    "layer_file_146": (60_965_224 + 590_080, 724_406_816 + 36 * 589_824),
    "layer_file_147": (60_965_224, 686_891_552),
    "layer_file_148": (60_965_224, 724_406_816),
    "layer_file_150": (60_714_408, 724_323_872),
    "layer_file_167": (60_965_224, 724_406_816),
    "cifar10_13pct": (1_116_490, 18_517_248),
    "cifar10_11pct": (2_112_970, 19_512_576),
    "cifar10_11pct_r540": (1_116_490, 18_517_248),
    "cifar10_18pct": (89_578, 12_298_240),
}

# Parameters and multiply-accumulates of layers that differ from those of ``original``.
OTHER_LAYERS = {
    "layer_file_146": {"conv6": (9 * 256 * 256 + 256, 36 * 9 * 256 * 256)},
    "layer_file_147": {"conv2": (307_456, 26**2 * 25 * 48 * 256), "conv5": (442_624, 11**2 * 9 * 192 * 256)},
    "layer_file_150": {
        "conv2": (25 * 48 * 320 + 320, 27**2 * 25 * 48 * 320),
        "conv3": (9 * 160 * 384 + 384, 13**2 * 9 * 160 * 384),
        "fc6": (4608 * 8192 + 8192, 4608 * 8192),
        "fc7": (4096 * 4096 + 4096, 4096 * 4096),
    },
    "cifar10_11pct": {
        "conv3": (36 * (9 * 64 * 64 + 64), 36 * 9 * 64 * 64),
        "conv4": (36 * (9 * 64 * 32 + 32), 36 * 9 * 64 * 32),
        "fc5": (36 * 32 * 10 + 10, 36 * 32 * 10),
    },
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


@pytest.mark.parametrize("name", OTHER_LAYERS)
def test_counts_of_layers_that_differ(name):
    rows = {row.name: (row.parameters, row.macs) for row in summarize_model(variant(name)).rows}
    assert {layer: rows[layer] for layer in OTHER_LAYERS[name]} == OTHER_LAYERS[name]


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
        convolve = formulas.convolution if conv.shared_kernel else formulas.local_convolution
        x = convolve(x, layer["kernel"], conv.stride, conv.padding, conv.rounding, conv.groups) + layer["bias"]
        for operation in conv.then:
            if operation == "relu":
                x = np.maximum(x, 0)
            elif operation == "max_pool":
                x = formulas.max_pool(x, config.max_pool.size, config.max_pool.stride, config.max_pool.rounding)
            elif operation == "average_pool":
                pool = config.average_pool
                x = formulas.average_pool(x, pool.size, pool.stride, pool.rounding)
            elif operation == "local_response_norm":
                norm = config.local_response_norm
                alpha = norm.alpha / norm.size if norm.divide_alpha else norm.alpha
                x = formulas.local_response_norm(x, norm.size, norm.k, alpha, norm.beta, config.towers)
            else:
                norm = config.spatial_response_norm
                x = formulas.spatial_response_norm(x, norm.size, norm.k, norm.alpha, norm.beta)
    if config.pool_before_dense:
        pool = config.average_pool
        x = formulas.average_pool(x, pool.size, pool.stride, pool.rounding)
    groups = dict(zip(config.dense_names, [*(dense.groups for dense in config.dense), 1], strict=True))
    for name in config.dense_names:
        parts = [part.reshape(len(part), -1) for part in np.split(x, groups[name], -1)]
        kernels = np.split(params[name]["kernel"], groups[name], -1)
        products = [part @ kernel for part, kernel in zip(parts, kernels, strict=True)]
        x = np.concatenate(products, -1) + params[name]["bias"]
        if name != config.dense_names[-1]:
            x = np.maximum(x, 0) * (1 - config.dropout.rate)
    return x


@pytest.mark.parametrize(
    "name", ["paper", "original", "layer_file_146", "layer_file_150", "cifar10_11pct", "cifar10_18pct"]
)
def test_logits_match_the_formulas(name):
    size = min(67, variant(name).image_size)
    check_logits(dataclasses.replace(tiny_model(name), image_size=size))


@pytest.mark.parametrize(("pool", "side"), [(AveragePool(), 2), (AveragePool(4, 4), 1)])
def test_logits_with_average_pooling_before_the_dense_layers(pool, side):
    config = dataclasses.replace(tiny_model("paper"), image_size=160, pool_before_dense=True, average_pool=pool)
    assert list(config.image_sizes())[-2:] == [("pool5", 4), ("pool6", side)]
    assert [row.parameters for row in summarize_model(config).rows if row.name == "fc6"] == [16 * 8 * side**2 + 16]
    check_logits(config)


def check_logits(config):
    size = config.image_size
    images = 60 * np.random.default_rng(0).standard_normal((1, size, size, 3)).astype(np.float32)
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


def drawn(config):
    """The initial parameters of a net, in NumPy."""
    images = jnp.zeros((1, config.image_size, config.image_size, 3), jnp.float32)
    return jax.tree.map(np.asarray, jax.jit(AlexNet(config).init)(jax.random.key(0), images)["params"])


def one_layer(**options):
    conv = ConvConfig(64, 11, then=(), **options)
    return ModelConfig((conv,), (), image_size=11, towers=1, head_kernel_stddev=0.02, head_truncate=True)


def test_xavier_initial_weights_are_uniform():
    params = drawn(one_layer(kernel_stddev=None, uniform="xavier", bias=0.1))
    bound = np.sqrt(6 / (11 * 11 * 3 + 11 * 11 * 64))
    kernel = params["conv1"]["kernel"]
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    np.testing.assert_array_equal(params["conv1"]["bias"], np.float32(0.1))


def test_truncated_initial_weights_are_within_two_standard_deviations():
    params = drawn(one_layer(kernel_stddev=0.5, truncate=True))
    for kernel, stddev in ((params["conv1"]["kernel"], 0.5), (params["fc2"]["kernel"], 0.02)):
        assert 1.99 * stddev < np.abs(kernel).max() <= 2 * stddev
        assert kernel.std() == pytest.approx(0.8796 * stddev, rel=0.03)


def test_pytorch_initial_weights_of_a_local_layer_depend_on_one_window():
    net = one_layer(kernel_stddev=None, padding=1, shared_kernel=False)
    params = drawn(net)["conv1"]
    assert params["kernel"].shape == (3, 3, 11, 11, 3, 64)
    assert params["bias"].shape == (3, 3, 64)
    bound = (11 * 11 * 3) ** -0.5
    for array in params.values():
        assert 0.98 * bound < np.abs(array).max() <= bound


def test_a_net_with_a_local_layer_cannot_slide():
    net = AlexNet(variant("cifar10_13pct"), fully_convolutional=True)
    with pytest.raises(UsageError, match="conv3 is locally connected: a net with such a layer cannot slide"):
        jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 24, 24, 3), jnp.float32))


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
