"""What the experts that tokens chose say: by class, by image, by pairs of experts ("Model inspection").

Where k > 1 the paper looks at the first choice of each token; experts per image counts all k.
Axes: M images, T tokens of an image, K choices of a token, E experts, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def tokens_per_image(experts_MTK: Tensor, num_experts: int) -> Tensor:
    """How many (token, choice) pairs of each image each expert has, int64 ``[M, E]``: the paper's c_i."""
    pairs_MP = experts_MTK.flatten(1)
    counts_ME = pairs_MP.new_zeros(len(pairs_MP), num_experts)
    return counts_ME.scatter_add_(1, pairs_MP, torch.ones_like(pairs_MP))


def occurrence(counts_ME: Tensor, labels_M: Tensor, num_classes: int) -> Tensor:
    """How many tokens of each class each expert has, int64 ``[C, E]`` (Figure 4, top; Figure 6, right)."""
    return counts_ME.new_zeros(num_classes, counts_ME.shape[1]).index_add_(0, labels_M, counts_ME)


def similarity(counts_ME: Tensor) -> Tensor:
    """S_ij, in [0, 1]: Σ (c_i + c_j - |c_i - c_j|) of images with both experts over Σ (c_i + c_j) of those with either.

    Float64 ``[E, E]``, 1 on the diagonal ("Expert Similarity"; Figure 4, bottom). As c_i + c_j - |c_i - c_j| is
    twice the smaller and an absent expert's count is 0, both sums may run over all images. An expert that no
    image has is like none, itself included: its row is not a number.
    """
    counts = counts_ME.double()
    shared_EE = torch.stack([torch.minimum(counts, one[:, None]).sum(0) for one in counts.unbind(1)])
    total_E = counts.sum(0)
    return 2 * shared_EE / (total_E[:, None] + total_E)


def experts_per_image(counts_ME: Tensor) -> float:
    """How many experts have at least one token of an image, on average ("Number of experts involved per image")."""
    return float((counts_ME > 0).sum(1).double().mean())


def patch_distribution(counts_ME: Tensor, num_tokens: int) -> Tensor:
    """CDF of an expert's tokens in the images that have any, float64 ``[E, T]`` (Figure 7).

    Entry (e, t - 1) is the share, among images with a token at expert e, of those with at most t.
    """
    active_ME = counts_ME > 0
    upto_MET = counts_ME[..., None] <= torch.arange(1, num_tokens + 1, device=counts_ME.device)
    return (active_ME[..., None] & upto_MET).sum(0).double() / active_ME.sum(0)[:, None]


def mutual_information(occurrence_CE: Tensor) -> float:
    """I(expert; class) / H(expert) of a token drawn from the counts: the share of the choice that the class explains.

    In [0, 1]; 0 where all tokens have one expert. Counts of few tokens give more than 0 by chance alone.
    """
    joint_CE = occurrence_CE.double() / occurrence_CE.sum()
    entropy = [torch.special.entr(p).sum() for p in (joint_CE.sum(0), joint_CE.sum(1), joint_CE)]
    return float((entropy[0] + entropy[1] - entropy[2]) / entropy[0]) if entropy[0] > 0 else 0.0


def expert_maps(experts_MTK: Tensor, image_size: int) -> Tensor:
    """The first choice of each pixel, int64 ``[M, S, S]`` (Figure 3): the map of tokens, enlarged to S pixels a side.

    T is a square; of a ViT, leave out the class token first.
    """
    side = round(experts_MTK.shape[1] ** 0.5)
    maps = experts_MTK[:, None, :, 0].unflatten(2, (side, side))
    return F.interpolate(maps.double(), size=image_size, mode="nearest-exact")[:, 0].long()
