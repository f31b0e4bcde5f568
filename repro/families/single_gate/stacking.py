"""Step 5 of Algorithm 1: stacking ensemblers d_k, trained each after its expert (Section 2.2, Table 6).

Axes: N images, K experts, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.analysis.outputs import Outputs
from repro.data.batches import Batch, BatchSource, batch_orders, epoch_order
from repro.families.single_gate.one_pass import Sharing, chosen_images
from repro.models.backbone import Backbone, Head, in_float32
from repro.training.classifier import on_all_images
from repro.training.fit import Epoch, Step, Training, fit
from repro.training.recipe import Recipe


class Stacking(nn.Module):
    """A linear layer on both log-probabilities ``[N, C]``, started at their sum: ``W_b log φ + W_e log e_k + b``."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * num_classes, num_classes)
        with torch.no_grad():
            eye = torch.eye(num_classes)
            self.linear.weight.copy_(torch.cat([eye, eye], 1))
            self.linear.bias.zero_()

    def forward(self, base_logits: Tensor, expert_logits: Tensor) -> Tensor:
        """Logits ``[N, C]`` of the ensemble."""
        both = torch.cat([base_logits.float().log_softmax(-1), expert_logits.float().log_softmax(-1)], 1)
        return in_float32(self.linear, both)


@torch.no_grad()
def stacking(outputs: Outputs, stackers: Sequence[Stacking]) -> Tensor:
    """Each image through the stacking ensembler of its selected expert: probabilities ``[N, C]``."""
    selected = outputs.top_experts(1)[:, 0]
    scores = torch.zeros_like(outputs.base_logits)
    for k, stacker in enumerate(stackers):
        rows = selected == k
        scores[rows] = stacker(outputs.base_logits[rows], outputs.expert_logits[rows, k]).softmax(-1)
    return scores


def train_stacking(
    base: Backbone, expert: Head, source: BatchSource, share: Tensor, sharing: Sharing, recipe: Recipe,
    seed: int, k: int, device: torch.device,
) -> tuple[Stacking, list[Epoch]]:  # fmt: skip
    """Step 5: train the stacking ensembler of expert k, after the expert, on what both say of training images.

    ``share`` ``[N]`` is Γ(g0(k|x)), used as in :func:`~repro.families.single_gate.one_pass.train_experts`. The images
    are not augmented, so the two networks run once however many epochs there are.
    """
    share = share.cpu()

    def chosen(epoch: int) -> Tensor | None:
        return chosen_images(share, seed, k, epoch) if sharing == "sampling" else None

    needed = torch.full((len(share),), sharing != "sampling")
    if sharing == "sampling":  # most images are never visited: only those that are need logits
        for epoch in range(recipe.epochs):
            needed |= chosen_images(share, seed, k, epoch)

    def answer(batch: Batch) -> Iterator[Tensor]:
        features = base.trunk(batch.images)
        return (head(features).float() for head in (base.head, expert))

    both = on_all_images(nn.ModuleList([base, expert]), source, device, answer, needed)
    base_logits, expert_logits = (logits.to(device) for logits in both)
    row_of = (needed.cumsum(0) - 1).to(device)  # image -> its row in the logits
    labels = source.labels.to(device)
    weights = (share / share.mean()).to(device)
    stacker = Stacking(source.num_classes).to(device)

    def batches(epoch: int) -> tuple[int, Sequence[Tensor]]:
        orders = batch_orders(epoch_order(len(share), seed, epoch, chosen(epoch)).to(device), recipe.batch_size)
        return len(orders), orders

    def step(images: Tensor, done: float) -> Step:
        rows = row_of[images]
        logits = stacker(base_logits[rows], expert_logits[rows])
        loss = F.cross_entropy(logits, labels[images], reduction="none", label_smoothing=recipe.label_smoothing)
        if sharing == "reweighting":
            loss = loss * weights[images]
        return Step(loss.mean(), (logits.argmax(1) == labels[images]).sum(), len(images))

    history = fit(Training(stacker, recipe, step, device, f"stacking ensembler {k}", seed), batches)
    return stacker.requires_grad_(False), history
