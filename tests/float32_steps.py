"""The layers of GPT-2 in float32, with sums in a random order, with fused multiply-add or without."""

from __future__ import annotations

import numpy as np

from handcraft_check.arithmetic.rounding import Bounded

F = np.float32


def boxes(rng, count, width, *, most=6, wide=True):
    """Rows known up to an error: some exact, some mirrored, some beside ballast of 1,024."""
    center = rng.normal(size=(count, width)) * 2.0 ** rng.integers(-12, most, size=(count, width))
    center[:, rng.random(width) < 0.3] = 0
    if width >= 4 and rng.random() < 0.5:
        half = width // 2
        center[:, half : 2 * half] = -center[:, :half]
    if width >= 4 and rng.random() < 0.5:
        center[:, 0], center[:, 1] = 1024, -1024
    error = 2.0 ** rng.integers(-24, -3 if wide else -16, size=(count, width))
    error *= rng.random((count, width)) < rng.choice([0, 0.5, 1])
    return Bounded(center.astype(F).astype(np.float64), error)


def point(rng, box):
    """A float32 number in each of some intervals: at an end, in the middle or anywhere."""
    where = rng.choice([-1, 1, 0, 2], size=box.center.shape)
    where = np.where(where == 2, rng.uniform(-1, 1, size=box.center.shape), where)
    found = (box.center + box.error * where).astype(F)
    return np.where(np.abs(found - box.center) <= box.error, found, box.center.astype(F))


def assert_inside(found, box):
    apart = np.abs(np.asarray(found, dtype=np.float64) - box.center)
    assert (apart <= box.error).all(), (apart / box.error).max()


def summed(rng, terms):
    """The sum along the first axis: one by one, or any two at a time."""
    parts = list(terms[rng.permutation(len(terms))])
    is_tree = rng.random() < 0.5
    while len(parts) > 1:
        last = parts.pop()
        at = int(rng.integers(len(parts))) if is_tree else 0
        parts[at] = (parts[at] + last).astype(F)
    return parts[0]


def product(rng, x, weight, bias):
    """A matrix product: [row, in] @ [in, out] + [out], all float32."""
    x, weight, bias = (np.asarray(each, dtype=F) for each in (x, weight, bias))
    if rng.random() < 0.5:
        terms = [(x[:, i, None] * weight[i]).astype(F) for i in range(x.shape[1])]
        return summed(rng, np.stack([*terms, np.broadcast_to(bias, terms[0].shape)]))
    total = np.broadcast_to(bias.astype(np.float64), (len(x), weight.shape[1]))
    for i in rng.permutation(x.shape[1]):  # a product of two float32 is exact in float64
        total = (total + x[:, i, None].astype(np.float64) * weight[i]).astype(F).astype(np.float64)
    return total.astype(F)


def moments(rng, x):
    """Mean and variance of each row, by sums or kept running in a few lanes that are merged."""
    width = F(x.shape[1])
    if rng.random() < 0.5:
        mean = summed(rng, x.T) / width
        return mean, summed(rng, np.square(x - mean[:, None]).T) / width
    columns = x[:, rng.permutation(x.shape[1])]
    lanes = []
    for part in np.array_split(columns, min(int(rng.integers(1, 4)), x.shape[1]), axis=1):
        mean, squares = np.zeros((2, len(x)), dtype=F)
        for count, column in enumerate(part.T, 1):
            apart = column - mean
            mean = mean + apart * (F(1) / F(count))
            squares = squares + apart * (column - mean)
        lanes.append((F(part.shape[1]), mean, squares))
    count, mean, squares = lanes[0]
    for other, its_mean, its_squares in lanes[1:]:
        share = other / (count + other)
        apart = its_mean - mean
        squares = squares + its_squares + apart * apart * share * count
        mean, count = mean + apart * share, count + other
    return mean, squares / width


def layer_norm(rng, x, gain, bias, epsilon):
    """[row, dimension]."""
    gain, bias = gain.astype(F), bias.astype(F)
    mean, variance = moments(rng, x)
    mean, scale = mean[:, None], (F(1) / np.sqrt(variance + F(epsilon)))[:, None]
    if rng.random() < 0.5:
        return (x - mean) * scale * gain + bias
    return (x * scale + -mean * scale) * gain + bias


def gelu(x):
    """GELU by tanh."""
    inner = F(np.sqrt(2 / np.pi)) * (x + F(0.044715) * (x * x * x))
    return F(0.5) * x * (F(1) + np.tanh(inner))


def softmax(rng, scores):
    """[row, source]."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    total = summed(rng, powers.T)[:, None]
    return powers / total if rng.random() < 0.5 else powers * (F(1) / total)
