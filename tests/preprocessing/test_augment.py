import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from alexnet_jax.config import AugmentConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.preprocessing.augment import (
    _random_boxes,
    _resized_crops,
    center_crop,
    evaluation_crops,
    training_crops,
)
from alexnet_jax.preprocessing.statistics import (
    COMPONENT_STDDEVS,
    COMPONENTS,
    Statistics,
    principal_components,
    published_statistics,
)

PLAIN = AugmentConfig(horizontal_flip=False, pca_colour_noise=0.0, mean="channel")


def ramp(batch=64, size=8, width=None):
    """Images whose red channel is the row and whose green channel is the column."""
    rows, columns = np.meshgrid(np.arange(size), np.arange(width or size), indexing="ij")
    image = np.stack([rows, columns, np.zeros_like(rows)], -1).astype(np.uint8)
    return jnp.asarray(np.broadcast_to(image, (batch, *image.shape)))


def zero_statistics(mean=None):
    mean = jnp.zeros((3,), jnp.float32) if mean is None else mean
    return Statistics(mean, jnp.diag(jnp.array([4.0, 9.0, 25.0], jnp.float32)))


def test_training_crops_use_every_offset():
    crops = np.asarray(training_crops(ramp(400), jax.random.key(0), zero_statistics(), PLAIN, 6))
    corners = {tuple(corner) for corner in crops[:, 0, 0, :2].astype(int)}
    assert corners == {(row, column) for row in range(3) for column in range(3)}
    want = np.asarray(ramp(1, 6))[0, :, :, :2] + crops[:, :1, :1, :2]
    np.testing.assert_array_equal(crops[..., :2], want)


def test_half_of_the_training_crops_are_flipped():
    crops = np.asarray(
        training_crops(ramp(400), jax.random.key(0), zero_statistics(), AugmentConfig(pca_colour_noise=0.0), 6)
    )
    falling = crops[:, 0, 0, 1] > crops[:, 0, 5, 1]
    assert 0.4 < falling.mean() < 0.6


def test_mean_image_is_cropped_with_the_image_or_at_its_centre():
    images = ramp(64)
    statistics = zero_statistics(jnp.asarray(images[0], jnp.float32))
    same = training_crops(
        images, jax.random.key(0), statistics, AugmentConfig(horizontal_flip=False, pca_colour_noise=0.0), 6
    )
    np.testing.assert_array_equal(same, jnp.zeros_like(same))
    config = AugmentConfig(pca_colour_noise=0.0, mean_crop="center")
    center = np.asarray(training_crops(images, jax.random.key(0), statistics, config, 6))
    plain = np.asarray(training_crops(images, jax.random.key(0), zero_statistics(), config, 6))
    np.testing.assert_array_equal(center, plain - np.asarray(images[0], np.float32)[1:7, 1:7])  # not flipped
    assert len({crop.tobytes() for crop in plain}) > 9  # some of the crops are flipped


def test_ten_crops_flip_the_pixels_and_not_the_centre_of_the_mean():
    images = ramp(2)
    mean = jnp.asarray(images[0], jnp.float32)
    config = AugmentConfig(mean_crop="center")
    views = np.asarray(evaluation_crops(images, zero_statistics(mean), config, 6, "ten-crop"))
    plain = np.asarray(evaluation_crops(images, zero_statistics(), PLAIN, 6, "ten-crop"))
    np.testing.assert_array_equal(views, plain - np.asarray(mean)[1:7, 1:7])
    same = np.asarray(evaluation_crops(images, zero_statistics(mean), AugmentConfig(), 6, "ten-crop"))
    np.testing.assert_array_equal(same, np.zeros_like(same))


def test_training_can_use_the_centre_crop():
    config = AugmentConfig(random_crop="center", horizontal_flip=False, pca_colour_noise=0.0)
    statistics = zero_statistics(jnp.full((8, 8, 3), 2.0, jnp.float32))
    found = training_crops(ramp(5), jax.random.key(0), statistics, config, 6)
    np.testing.assert_array_equal(found, center_crop(ramp(5), statistics, config, 6))


def test_evaluation_views_are_the_centre_crop_its_reflection_and_the_ten_crops_of_the_paper():
    images = ramp(2)
    center = np.asarray(center_crop(images, zero_statistics(), PLAIN, 6))
    np.testing.assert_array_equal(center[0], np.asarray(images[0])[1:7, 1:7])
    for views, flips in (("center", (1,)), ("center-flip", (1, -1))):
        crops = np.asarray(evaluation_crops(images, zero_statistics(), PLAIN, 6, views))
        np.testing.assert_array_equal(crops, [center[:, :, ::step] for step in flips])
    views = np.asarray(evaluation_crops(images, zero_statistics(), PLAIN, 6, "ten-crop"))
    corners = [tuple(view[0, 0, 0, :2].astype(int)) for view in views]
    assert corners[:5] == [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    np.testing.assert_array_equal(views[5:], views[:5, :, :, ::-1])


@pytest.mark.parametrize(("height", "width"), [(7, 9), (9, 7), (6, 8)])
def test_crops_of_images_that_are_not_square_use_both_axes(height, width):
    images = ramp(400, height, width)
    crops = np.asarray(training_crops(images, jax.random.key(0), zero_statistics(), PLAIN, 6))
    corners = {tuple(corner) for corner in crops[:, 0, 0, :2].astype(int)}
    assert corners == {(row, column) for row in range(height - 5) for column in range(width - 5)}
    top, left = (height - 6) // 2, (width - 6) // 2
    pixels = np.asarray(images[0])
    center = np.asarray(center_crop(images, zero_statistics(), PLAIN, 6))
    np.testing.assert_array_equal(center[0], pixels[top : top + 6, left : left + 6])
    views = np.asarray(evaluation_crops(images[:1], zero_statistics(), PLAIN, 6, "ten-crop"))
    corners = [tuple(view[0, 0, 0, :2].astype(int)) for view in views[:5]]
    assert corners == [(0, 0), (0, width - 6), (height - 6, 0), (height - 6, width - 6), (top, left)]
    np.testing.assert_array_equal(views[3, 0], pixels[height - 6 :, width - 6 :])


@pytest.mark.parametrize(("height", "width"), [(256, 64), (64, 256), (192, 256)])
def test_resized_boxes_of_images_that_are_not_square_fit_both_axes(height, width):
    top, left, rows, columns = np.asarray(_random_boxes(jax.random.key(0), 500, height, width)).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + rows).max() <= height
    assert (left + columns).max() <= width
    assert 0.72 < (columns / rows).min() < (columns / rows).max() < 1.38
    assert len({*zip(top, left, strict=True)}) > 50
    assert (rows * columns).max() / (height * width) > 0.9 * min(4 / 3 * width / height, 4 / 3 * height / width, 1)


@pytest.mark.parametrize("scale", ["standard_deviation", "eigenvalue"])
def test_colour_noise_adds_one_colour_per_image_along_the_principal_components(scale):
    config = AugmentConfig(horizontal_flip=False, pca_colour_noise=0.5, pca_colour_noise_scale=scale, mean="channel")
    images = jnp.zeros((4000, 2, 2, 3), jnp.uint8)
    noise = np.asarray(training_crops(images, jax.random.key(0), zero_statistics(), config, 2))
    np.testing.assert_array_equal(noise, np.broadcast_to(noise[:, :1, :1], noise.shape))
    covariance = np.cov(noise[:, 0, 0].T)
    lengths = np.array([2.0, 3.0, 5.0]) if scale == "standard_deviation" else np.array([4.0, 9.0, 25.0]) / 255
    want = np.diag(np.square(0.5 * lengths))
    np.testing.assert_allclose(covariance, want, atol=0.08 * want.max())


def test_crops_are_divided_by_the_standard_deviation_of_each_channel():
    config = AugmentConfig(horizontal_flip=False, pca_colour_noise=0.0, mean="channel", divide_by_stddev=True)
    crops = center_crop(jnp.full((1, 4, 4, 3), 30, jnp.uint8), zero_statistics(), config, 4)
    np.testing.assert_allclose(crops[0, 0, 0], [15.0, 10.0, 6.0], rtol=1e-6)


def test_published_statistics_have_the_published_components():
    statistics = published_statistics(3)
    variances, components = principal_components(statistics.colour_covariance)
    np.testing.assert_allclose(np.sqrt(variances)[::-1], COMPONENT_STDDEVS, rtol=1e-3)
    overlaps = np.abs(np.asarray(components).T[::-1] @ np.array(COMPONENTS).T)
    np.testing.assert_allclose(overlaps, np.eye(3), atol=2e-3)


def test_published_statistics_exist_for_grey_images_and_for_no_other_channels():
    grey = published_statistics(1)
    assert float(grey.mean[0]) == pytest.approx(0.299 * 127.30 + 0.587 * 119.72 + 0.114 * 104.91, rel=1e-5)
    assert grey.colour_covariance.shape == (1, 1)
    with pytest.raises(UsageError, match=r"model\.channels is 4"):
        published_statistics(4)


def test_neighbouring_images_share_a_crop_and_a_flip():
    config = AugmentConfig(pca_colour_noise=0.0, mean="channel", images_per_crop=4)
    crops = np.asarray(training_crops(ramp(1600), jax.random.key(0), zero_statistics(), config, 6)).reshape(400, 4, -1)
    np.testing.assert_array_equal(crops, np.broadcast_to(crops[:, :1], crops.shape))
    assert len({crop.tobytes() for crop in crops[:, 0]}) == 18  # 3 x 3 positions, flipped or not


def test_pixels_are_divided_while_noise_is_on():
    config = AugmentConfig(horizontal_flip=False, pca_colour_noise=1e-9, mean="channel", pca_colour_noise_divisor=1.25)
    images, key = jnp.full((2, 4, 4, 3), 50, jnp.uint8), jax.random.key(0)
    for noisy, want in ((jnp.array(True), 40.0), (jnp.array(False), 50.0)):
        crops = training_crops(images, key, zero_statistics(), config, 4, noisy)
        np.testing.assert_allclose(crops, np.full(crops.shape, want), rtol=1e-5)


RESIZED = AugmentConfig(random_crop="resize", horizontal_flip=False, pca_colour_noise=0.0, mean="channel")


def test_resized_boxes_have_the_areas_and_ratios_of_torchvision():
    """A resized box of a ramp is a ramp. Its slopes determine the sides of the box, its values the position."""
    crops = np.asarray(training_crops(ramp(300, 64), jax.random.key(0), zero_statistics(), RESIZED, 16))
    inner = crops[:, 4:12, 4:12]
    heights, widths = (16 * np.diff(inner[..., axis], axis=axis + 1).mean(axis=(1, 2)) for axis in (0, 1))
    areas, ratios = heights * widths / 64**2, widths / heights
    assert 0.075 < areas.min() < 0.15
    assert 0.9 < areas.max() <= 1.0001
    assert 0.7 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 1.4
    middle = inner[..., 0].mean(axis=(1, 2))
    assert (middle + 0.5 >= heights / 2 - 0.5).all()
    assert (middle + 0.5 <= 64 - heights / 2 + 0.5).all()


def test_boxes_are_resized_as_by_pillow():
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    parts = [(0, 0, 48, 48), (5, 11, 20, 30), (30, 2, 9, 9)]
    found = _resized_crops(jnp.asarray(images), jnp.array(parts, jnp.float32), zero_statistics(), 16)
    for image, (top, left, height, width), crop in zip(images, parts, found, strict=True):
        for channel in range(3):
            picture = Image.fromarray(image[..., channel].astype(np.float32))
            box = (left, top, left + width, top + height)
            want = np.asarray(picture.resize((16, 16), Image.Resampling.BILINEAR, box))
            # Pillow does not read pixels outside the box
            np.testing.assert_allclose(crop[2:-2, 2:-2, channel], want[2:-2, 2:-2], atol=0.01)


def test_mean_image_is_resized_with_the_box():
    images = ramp(8, 32)
    statistics = zero_statistics(jnp.asarray(images[0], jnp.float32))
    crops = training_crops(images, jax.random.key(0), statistics, RESIZED, 12)
    np.testing.assert_allclose(crops, np.zeros(crops.shape), atol=1e-4)
