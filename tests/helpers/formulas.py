"""The published formulas written plainly in NumPy, window by window, without the package."""

from __future__ import annotations

import math

import numpy as np


def convolution(images, kernel, stride, padding, rounding, groups):
    """Cross-correlation; the last window may extend past the edge, where the image is zero."""
    batch, height, width, _ = images.shape
    size, read, features = kernel.shape[0], kernel.shape[2], kernel.shape[3]
    padded = np.zeros(
        (batch, height + 2 * padding + stride + size, width + 2 * padding + stride + size, images.shape[3])
    )
    padded[:, padding : padding + height, padding : padding + width] = images
    round_count = math.ceil if rounding == "up" else math.floor
    rows, columns = (1 + round_count((2 * padding + side - size) / stride) for side in (height, width))
    result = np.zeros((batch, rows, columns, features))
    for group in range(groups):
        inputs = slice(group * read, (group + 1) * read)
        outputs = slice(group * features // groups, (group + 1) * features // groups)
        for row in range(rows):
            for column in range(columns):
                window = padded[:, row * stride : row * stride + size, column * stride : column * stride + size, inputs]
                result[:, row, column, outputs] = np.tensordot(window, kernel[..., outputs], axes=3)
    return result


def local_convolution(images, kernel, stride, padding, rounding, groups):
    """The same with a kernel (rows, columns, height, width, in, out) for each position of the output."""
    rows, columns = kernel.shape[:2]
    result = np.zeros((images.shape[0], rows, columns, kernel.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            of_all = convolution(images, kernel[row, column], stride, padding, rounding, groups)
            assert of_all.shape[1:3] == (rows, columns)
            result[:, row, column] = of_all[:, row, column]
    return result


def local_response_norm(images, size, k, alpha, beta, towers):
    """b_i = a_i / (k + alpha sum over the window around i of a_j^2)^beta, within each tower."""
    result = np.zeros_like(images)
    width = images.shape[-1] // towers
    for channel in range(images.shape[-1]):
        tower = channel // width
        low = max(tower * width, channel - size // 2)
        high = min((tower + 1) * width, channel + size // 2 + 1)
        squares = (images[..., low:high] ** 2).sum(axis=-1)
        result[..., channel] = images[..., channel] / (k + alpha * squares) ** beta
    return result


def spatial_response_norm(images, size, k, alpha, beta):
    """The same over a square of pixels; alpha multiplies the mean over the whole window."""
    result = np.zeros_like(images)
    half = size // 2
    for row in range(images.shape[1]):
        for column in range(images.shape[2]):
            window = images[:, max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]
            squares = (window**2).sum(axis=(1, 2))
            result[:, row, column] = images[:, row, column] / (k + alpha / size**2 * squares) ** beta
    return result


def batch_norm(images, mean, variance, epsilon):
    """(a - mean) / sqrt(variance + epsilon), with one mean and one variance for each channel."""
    result = np.zeros_like(images)
    for channel in range(images.shape[-1]):
        result[..., channel] = (images[..., channel] - mean[channel]) / math.sqrt(variance[channel] + epsilon)
    return result


def batch_norm_gradient(images, gradient, epsilon):
    """The gradient of the images, from that of their normalisation by their own statistics, over m values a channel.

    s (g - sum(g) / m - n sum(g n) / m), where n is the normalised image and s is 1 / sqrt(variance + epsilon).
    """
    result = np.zeros_like(images)
    for channel in range(images.shape[-1]):
        values, slope = images[..., channel], gradient[..., channel]
        scale = 1 / math.sqrt(((values - values.mean()) ** 2).mean() + epsilon)
        normalised = (values - values.mean()) * scale
        result[..., channel] = scale * (slope - slope.mean() - normalised * (slope * normalised).mean())
    return result


def max_pool(images, size, stride, rounding):
    """Maximum over each window, cut off at the edge."""
    return _pool(images, size, stride, rounding, np.max)


def average_pool(images, size, stride, rounding):
    """Mean over the pixels of each window that are inside the image."""
    return _pool(images, size, stride, rounding, np.mean)


def _pool(images, size, stride, rounding, reduce):
    round_count = math.ceil if rounding == "up" else math.floor
    rows, columns = (1 + round_count((side - size) / stride) for side in images.shape[1:3])
    result = np.zeros((images.shape[0], rows, columns, images.shape[3]))
    for row in range(rows):
        for column in range(columns):
            window = images[:, row * stride : row * stride + size, column * stride : column * stride + size]
            result[:, row, column] = reduce(window, axis=(1, 2))
    return result


def nesterov_sgd(weights, gradients, rates, momentum):
    """v <- m v - e g; w <- w + m v - e g, with one gradient and one rate per step. Returns the weights after each."""
    velocity, path = np.zeros_like(weights), []
    for gradient, rate in zip(gradients, rates, strict=True):
        velocity = momentum * velocity - rate * gradient
        weights = weights + momentum * velocity - rate * gradient
        path.append(weights)
    return path


def lars_sgd(weights, gradients, rates, momentum, decay, trust):
    """v <- m v + e f (g + d w); w <- w - v, where f = trust |w| / |g|, or 1 if a norm is 0."""
    velocity, path = np.zeros_like(weights), []
    for gradient, rate in zip(gradients, rates, strict=True):
        norms = [math.sqrt((array**2).sum()) for array in (weights, gradient)]
        factor = trust * norms[0] / norms[1] if min(norms) > 0 else 1.0
        velocity = momentum * velocity + rate * factor * (gradient + decay * weights)
        weights = weights - velocity
        path.append(weights)
    return path


def paper_sgd(weights, gradients, rates, momentum, decay):
    """v <- m v - d e w - e g; w <- w + v, with one gradient and one rate per step. Returns the weights after each."""
    velocity, path = np.zeros_like(weights), []
    for gradient, rate in zip(gradients, rates, strict=True):
        velocity = momentum * velocity - decay * rate * weights - rate * gradient
        weights = weights + velocity
        path.append(weights)
    return path
