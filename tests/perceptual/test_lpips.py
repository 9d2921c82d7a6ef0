"""Properties of the perceptual distance."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from alexnet_jax import UsageError, lpips, pretrained, variant

pytestmark = pytest.mark.optimized

SIZE = (32, 37)
HEADS = ["v0.1", None]


@pytest.fixture(scope="module")
def params():
    return pretrained("torchvision_features")[1]


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    return tuple(rng.random((2, *SIZE, 3), dtype=np.float32) for _ in range(2))


def total(params, a, b, **options):
    return lpips(params, a, b, **options).sum()


@pytest.mark.parametrize("heads", HEADS)
def test_the_distance_of_an_image_from_itself_is_exactly_0(params, pair, heads):
    a, b = pair
    assert lpips(params, a, a.copy(), heads=heads).tolist() == [0, 0]
    assert (np.asarray(lpips(params, a, a.copy(), heads=heads, spatial=True)) == 0).all()
    assert min(lpips(params, a, b, heads=heads)) > 0.01


@pytest.mark.slow  # with XLA's optimisations, which fuse a product with the subtraction
@pytest.mark.parametrize(("count", "size"), [(1, 64), (2, 97), (3, 128)])
def test_the_distance_of_an_image_from_itself_is_exactly_0_at_other_sizes(params, count, size):
    images = np.random.default_rng(3).random((count, size, size, 3), dtype=np.float32)
    assert lpips(params, images, images.copy()).tolist() == [0] * count


@pytest.mark.parametrize("heads", HEADS)
def test_the_distance_is_symmetric(params, pair, heads):
    a, b = pair
    np.testing.assert_allclose(lpips(params, a, b, heads=heads), lpips(params, b, a, heads=heads), rtol=1e-5)


def test_the_distance_grows_with_noise(params, pair):
    a, b = pair
    distances = [float(total(params, a, a + share * (b - a))) for share in (0.05, 0.2, 0.5, 1.0)]
    assert distances == sorted(distances)


@pytest.mark.slow
def test_vmap_and_jit_equal_a_loop(params, pair):
    a, b = (np.stack([images, images[:, ::-1], images[:, :, ::-1]]) for images in pair)
    loop = np.stack([lpips(params, *images) for images in zip(a, b, strict=True)])
    mapped = jax.vmap(lambda a, b: lpips(params, a, b))(a, b)
    np.testing.assert_allclose(mapped, loop, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(lpips)(params, a[0], b[0]), loop[0], rtol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda a, b: lpips(params, a, b, spatial=True))(a[0], b[0]).shape, (2, *SIZE))


def test_ranges_and_uint8_describe_the_same_images(params):
    rng = np.random.default_rng(1)
    stored = rng.integers(0, 256, (2, 1, *SIZE, 3), dtype=np.uint8)
    distance = float(lpips(params, *stored)[0])
    fractions = stored / np.float32(255)
    for images, value_range in (
        (fractions, (0, 1)),
        (2 * fractions - 1, (-1, 1)),
        (stored.astype(np.float32), (0, 255)),
        (fractions.astype(np.float64), (0.0, 1.0)),
    ):
        assert lpips(params, *images, value_range=value_range)[0] == pytest.approx(distance, rel=1e-5)
    assert lpips(params, stored[0], fractions[1])[0] == pytest.approx(distance, rel=1e-5)


@pytest.fixture(scope="module")
def gradients():
    return jax.jit(jax.grad(total, (1, 2)))


@pytest.mark.slow
def test_xla_optimises_the_convolutions_of_the_gradient(params):
    """Eigen's fast convolution on a CPU needs kernels with the inputs before the outputs, not ``01oi``."""
    images = jnp.zeros((1, 128, 128, 3), jnp.float32)
    compiled = jax.jit(jax.grad(total, 1)).lower(params, images, images).compile().as_text()
    assert "_01io->b01f" in compiled
    assert "_01oi->b01f" not in compiled


def test_gradients_are_finite_at_identical_and_at_black_images(params, pair, gradients):
    image, black = pair[0][:1], np.zeros_like(pair[0][:1])
    for a, b in ((image, image), (black, black), (black, image)):
        for gradient in gradients(params, a, b):
            assert np.isfinite(gradient).all()


def test_gradients_are_finite_where_all_features_of_a_pixel_are_0(params, pair, gradients):
    """As those of black images are, where all weights are positive."""
    positive = {
        name: {"kernel": np.abs(layer["kernel"]), "bias": np.zeros_like(layer["bias"])}
        for name, layer in params.items()
    }
    black, white = np.zeros_like(pair[0][:1]), np.ones_like(pair[0][:1])
    assert lpips(positive, black, white, heads=None).tolist() == pytest.approx([5])  # 0 and unit length, five times
    for a, b in ((black, black), (black, white), (white, black)):
        for gradient in gradients(positive, a, b):
            assert np.isfinite(gradient).all()
    _, slope = jax.jvp(lambda a: lpips(positive, a, white), (black,), (white,))
    assert np.isfinite(slope).all()


def test_a_whole_net_gives_the_same_distance(params, pair):
    whole = params | {"fc6": {"kernel": jnp.zeros((9216, 4096)), "bias": jnp.zeros(4096)}}
    np.testing.assert_array_equal(lpips(whole, *pair), lpips(params, *pair))


def test_values_outside_the_range_raise_only_where_they_can_be_seen(params, pair):
    a, b = pair
    with pytest.raises(UsageError, match=r"images_b have values from .* to 2.*: value_range is \(0, 1\)"):
        lpips(params, a, 2 * b + 1e-3)
    assert jax.jit(lpips)(params, a, 2 * b + 1e-3).shape == (2,)


IMAGE = np.zeros((1, 32, 32, 3), np.float32)
PARAMS = {
    f"conv{number}": {"kernel": np.zeros((k, k, i, o), np.float32), "bias": np.zeros(o, np.float32)}
    for number, (k, i, o) in enumerate(
        ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256)), start=1
    )
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images_a": IMAGE[:, :31]}, r"images_a have shape \(1, 31, 32, 3\).*at least 32 pixels"),
        ({"images_a": IMAGE[..., :1]}, "repeat.* for grey"),
        ({"images_a": np.zeros((1, 32, 32, 4), np.float32)}, "without transparency"),
        ({"images_b": np.zeros((1, 3, 32, 32), np.float32)}, r"images_b.*images.transpose\(0, 2, 3, 1\)"),
        ({"images_b": IMAGE[0]}, r"images\[None\]"),
        ({"images_b": np.zeros((1, 32, 33, 3), np.float32)}, "of the same shape"),
        ({"images_b": IMAGE[:0]}, "at least one image"),
        ({"images_b": IMAGE.astype(np.int32)}, "uint8 with pixels in 0..255"),
        ({"images_b": IMAGE.tolist()}, "type list"),
        ({"images_b": IMAGE - 0.5}, r"value_range=\(-1, 1\)"),
        ({"images_b": IMAGE + 200}, r"value_range=\(0, 255\)"),
        ({"images_b": IMAGE * np.nan}, "nan"),
        ({"images_b": IMAGE + 1.5, "value_range": (-1, 1)}, "clip"),
        ({"value_range": (1, 0)}, "value_range is"),
        ({"value_range": 1}, "value_range is"),
        ({"value_range": (0, np.inf)}, "value_range is"),
        ({"heads": "v0.0"}, "unknown version of the heads 'v0.0': did you mean v0.1?"),
        ({"params": {}}, "params have no conv1"),
        ({"params": PARAMS | {"conv2": PARAMS["conv3"]}}, r"conv2 has a kernel of shape \(3, 3, 192, 384\)"),
        ({"params": None}, "params have no conv1"),
    ],
)
def test_wrong_arguments_raise_one_line(change, message):
    arguments = {"params": PARAMS, "images_a": IMAGE, "images_b": IMAGE} | change
    jaxtyping.config.update("jaxtyping_disable", True)  # as for users
    try:
        with pytest.raises(UsageError, match=message) as raised:
            lpips(arguments.pop("params"), arguments.pop("images_a"), arguments.pop("images_b"), **arguments)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert "\n" not in str(raised.value)


def test_a_net_with_other_widths_is_refused():
    conv = variant("paper").convs[0]
    kernel = np.zeros((conv.kernel_size, conv.kernel_size, 3, conv.features), np.float32)
    other = PARAMS | {"conv1": {"kernel": kernel, "bias": np.zeros(conv.features, np.float32)}}
    with pytest.raises(UsageError, match=r"conv1 has a kernel of shape \(11, 11, 3, 96\)"):
        lpips(other, IMAGE, IMAGE)
