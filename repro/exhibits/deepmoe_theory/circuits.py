"""Appendix A.1, on circuits small enough to be computed exactly: what gating does to the rank of A^y.

A convolutional arithmetic circuit (Cohen et al., COLT 2016) reads N patches; each is one of M features. Layer after
layer a 1x1 convolution to m channels is followed by the product over pairs of neighbours, until one place is left and
a linear output reads its channels: L = log2 N layers. Its values over all M^N inputs are the tensor A^y, and the rank
of its matricisation (odd patches against even ones) is what the appendix calls expressive power.

Arithmetic is modulo a prime, so that a rank is exact. A rank modulo a prime is never above the rational one, and for
weights drawn at random it is below it with a probability of about rank / PRIME.

Axes: X = M^N inputs, N places, m channels.
"""

from __future__ import annotations

from math import comb
from typing import Literal

import numpy as np

PRIME = 2_147_483_647
ROUTES = 4
Routing = Literal["dense", "static", "dynamic", "routes", "embedding", "pooled"]


def rank(matrix: np.ndarray) -> int:
    """Rank modulo ``PRIME`` of a matrix of integers in [0, PRIME), by elimination."""
    rows = matrix.astype(np.int64).copy()
    row = 0
    for column in range(rows.shape[1]):
        pivots = np.flatnonzero(rows[row:, column])
        if len(pivots) == 0:
            continue
        rows[[row, row + pivots[0]]] = rows[[row + pivots[0], row]]
        rows[row] = rows[row] * pow(int(rows[row, column]), -1, PRIME) % PRIME
        below = rows[row + 1 :]
        below -= below[:, column, None] * rows[row] % PRIME
        below %= PRIME
        row += 1
        if row == len(rows):
            break
    return row


def circuit_rank(patches: int, features: int, channels: int, active: int, routing: Routing, seed: int = 0) -> int:
    """Rank of one random circuit of N patches, M features, m channels of which n are active under a routing.

    ``dense``      all channels always
    ``static``     the same n for every input
    ``dynamic``    n drawn anew for every input, at random: nothing is learned and nothing depends on what is seen
    ``routes``     every input takes one of :data:`ROUTES` random choices, at random
    ``embedding``  the n with the largest W e, e a linear embedding of the input: what a shallow network could do
    ``pooled``     the same of an embedding that weighs all places alike, as one of convolutions and pooling may
    """
    draw = np.random.default_rng(seed)
    layers = patches.bit_length() - 1
    inputs = np.indices((features,) * patches).reshape(patches, -1).T  # [X, N]
    masks = _masks(draw, inputs, features, layers, channels, active, routing)
    x = draw.integers(1, PRIME, (features, channels))[inputs]  # first convolution: [X, N, m]
    for layer in range(layers):
        if layer:
            x = _matmul(x, draw.integers(1, PRIME, (channels, channels)))
        x = x * masks[:, layer, None]
        x = x[:, 0::2] * x[:, 1::2] % PRIME
    values = _matmul(x[:, 0], draw.integers(1, PRIME, (channels, 1))).reshape((features,) * patches)
    side = features ** (patches // 2)
    odd_even = [*range(0, patches, 2), *range(1, patches, 2)]
    return rank(values.transpose(odd_even).reshape(side, side))


def _masks(
    draw: np.random.Generator, inputs: np.ndarray, features: int, layers: int, channels: int, active: int,
    routing: Routing,
) -> np.ndarray:  # fmt: skip
    """Which channels each input runs in each layer: 0 or 1, ``[X, L, m]``."""
    count = len(inputs)
    if routing == "dense":
        return np.ones((count, layers, channels), np.int64)
    if routing in ("embedding", "pooled"):
        of_place = draw.standard_normal((1 if routing == "pooled" else inputs.shape[1], features, 8))
        e = sum(of_place[place % len(of_place)][inputs[:, place]] for place in range(inputs.shape[1]))
        scores = np.einsum("xe,lme->xlm", e, draw.standard_normal((layers, channels, 8)))
    else:
        distinct = {"static": 1, "routes": ROUTES, "dynamic": count}[routing]
        scores = draw.random((distinct, layers, channels))[draw.permutation(count) % distinct]
    return (scores.argsort(-1).argsort(-1) >= channels - active).astype(np.int64)


def _matmul(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``x @ weights`` modulo ``PRIME``; each product is reduced before it is added, so nothing overflows."""
    return (x[..., None] * weights % PRIME).sum(-2) % PRIME


def equal_masks(channels: int, active: int, layers: int) -> float:
    """Probability that two inputs draw the same n of m channels in every layer: C(m, n)^-L.

    The appendix prints (m/n)^-L, which is another number (0.25 against 0.0278 for m, n, L = 4, 2, 2).
    """
    return comb(channels, active) ** -float(layers)
