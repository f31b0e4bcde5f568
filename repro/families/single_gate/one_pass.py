"""Step 4 of Algorithm 1: experts, one or many, trained in one pass over the frozen trunk that feeds them all.

An epoch walks the images that some expert wants, in the epoch's common order; the trunk runs once on
each batch of them; every expert takes its own from each window of several batches, and keeps them until it
has its next batch (from one batch at a time, twenty experts would take 8,000 small pieces an epoch). So
each expert sees the same images, augmented alike, in the same order and the same batches, as if it
were trained apart, and becomes the same expert: what is trained alone and what is trained beside others
may be mixed, one expert or one epoch at a time.

What waits is bounded: a window, and less than one batch of features an expert, so ``K B T h w`` numbers more.

Axes: N training images, B images of a batch, M of a window, C classes, D embedding, T x h x w trunk features, K
experts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data.batches import Batch, BatchSource, batch_orders, epoch_order
from repro.errors import TrainingError
from repro.models.backbone import Backbone, Head
from repro.models.registry import freeze
from repro.randomness import generator
from repro.training.classifier import forward_in, on_all_images
from repro.training.compiling import Forward, plain
from repro.training.device import autocast, wait_for
from repro.training.fit import Epoch, Report, Step, Training, pause_if_late
from repro.training.recipe import Recipe

Sharing = Literal["sampling", "reweighting"]
TrunkBatchNorm = Literal["evaluation", "training"]
WINDOW = 256e6  # bytes of features that the trunk makes before the experts take theirs


def chosen_images(share: Tensor, seed: int, expert: int, epoch: int) -> Tensor:
    """The images that expert k visits in an epoch under ``sampling``: i with probability ``share[i]``; bool ``[N]``."""
    return torch.rand(len(share), generator=generator(seed, "expert", expert, epoch)) < share


class TrunkBatch(NamedTuple):
    """What an expert is trained on: the frozen trunk's features ``[B, T, h, w]``, labels and indices ``[B]``."""

    features: Tensor
    labels: Tensor
    indices: Tensor


@torch.no_grad()
def through_trunk(
    base: Backbone, batches: Iterable[Batch], device: torch.device, forward: Forward = plain
) -> Iterator[TrunkBatch]:
    """Each batch as the frozen trunk of ``base`` shows it."""
    for batch in batches:
        with autocast(device):
            features = forward(base.trunk, batch.images)
        yield TrunkBatch(features, batch.labels, batch.indices)


def expert_loss(
    expert: Head, share: Tensor, sharing: Sharing, device: torch.device, recipe: Recipe, forward: Forward = plain
) -> Callable[[TrunkBatch, float], Step]:
    """The loss of an expert on a batch: cross-entropy, under ``reweighting`` times the images' weights.

    Weights are ``share`` ``[N]`` divided by its mean, so that the learning rate means the same for any K.
    Raises :class:`TrainingError` if the recipe mixes images.
    """
    if recipe.mixup or recipe.cutmix:
        raise TrainingError(
            "experts share one pass over the images, each with its own pairs of them: set mixup and cutmix of the "
            "experts' recipe to 0"
        )
    weights = (share / share.mean()).to(device)

    def loss_of(batch: TrunkBatch, done: float) -> Step:
        logits = forward(expert, batch.features).float()
        loss = F.cross_entropy(logits, batch.labels, reduction="none", label_smoothing=recipe.label_smoothing)
        if sharing == "reweighting":
            loss = loss * weights[batch.indices]
        return Step(loss.mean(), (logits.argmax(1) == batch.labels).sum(), len(logits))

    return loss_of


def use_batch_statistics(trunk: nn.Module) -> None:
    """BatchNorm normalises by each batch's statistics and leaves the running ones as they are."""
    for layer in trunk.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
            layer.track_running_stats = False  # neither read nor moved while training; without effect in evaluation


def embed(base: Backbone, source: BatchSource, device: torch.device) -> Tensor:
    """Pre-logits ``[N, D]`` (float32, on the CPU) of all images, not augmented: what K-means and the gate see."""
    (embeddings,) = on_all_images(base, source, device, lambda batch: (base.embed(batch.images).float(),))
    return embeddings


class NewExpert(NamedTuple):
    """One expert to be trained: its number k, its share Γ(g0(k|x)) ``[N]`` and where its state is kept."""

    k: int
    expert: Head
    share: Tensor
    checkpoint: Path | None = None


def train_experts(
    new: Sequence[NewExpert], base: Backbone, source: BatchSource, sharing: Sharing, recipe: Recipe,
    seed: int, device: torch.device, report: Report = lambda epoch, entry: None,
    trunk_batchnorm: TrunkBatchNorm = "evaluation",
) -> list[list[Epoch]]:  # fmt: skip
    """Step 4: train experts, in place, on trunk features of the frozen base.

    What expert k sees depends on (seed, k, epoch) alone, never on the other experts. Checkpoints are written after
    each epoch, where they are not large. After a stop some experts may be an epoch ahead: they wait until the others
    have caught up. Seconds of a shared epoch are divided by images visited.

    Args:
        new: The experts, each with its share of the data.
        base: Its trunk is run, frozen.
        source: The training images.
        sharing: With ``sampling`` an epoch visits image i with probability ``share[i]``; with ``reweighting`` it
            visits every image and weighs its loss by ``share[i]`` over the mean share.
        recipe: How each is trained.
        seed: The seed of what they see, and draw.
        device: Where they are trained.
        report: Hears of each epoch of them all: mean loss and accuracy of the experts, seconds of the epoch.
        trunk_batchnorm: Ours to choose: the frozen trunk normalises by its running statistics or, while one expert
            is trained, by each batch's (its weights and running statistics stay as they are).

    Returns:
        Their histories.

    Raises:
        TrainingError: The share of an expert is empty, or a loss is not finite.
    """
    base.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    freeze(base)
    if trunk_batchnorm == "training":
        use_batch_statistics(base.trunk)
    forward = forward_in(recipe, source, device)
    experts = [_ExpertInPass(each, sharing, recipe, source, device, seed, len(new), forward) for each in new]
    for epoch in range(recipe.epochs):
        present = [each for each in experts if each.training.epoch == epoch]
        if present:
            pause_if_late([each.training for each in present])
            _one_epoch(present, base, source, recipe.batch_size, seed, epoch, device, forward)
            report(epoch, _mean([each.training.history[-1] for each in present]))
    freeze(base)
    return [each.training.finish() for each in experts]


def _mean(entries: Sequence[Epoch]) -> Epoch:
    n = len(entries)
    loss, accuracy = sum(each.loss for each in entries) / n, sum(each.accuracy for each in entries) / n
    return Epoch(loss, accuracy, sum(each.seconds for each in entries))


def _one_epoch(
    present: Sequence[_ExpertInPass], base: Backbone, source: BatchSource, batch_size: int,
    seed: int, epoch: int, device: torch.device, forward: Forward,
) -> None:  # fmt: skip
    began = time.monotonic()
    everything = epoch_order(len(source), seed, epoch)
    orders = [each.order(everything, seed, epoch) for each in present]
    wanted = torch.zeros(len(source), dtype=torch.bool)
    for order in orders:
        wanted[order] = True
    place = torch.empty(len(source), dtype=torch.int64)  # image -> when the pass comes to it
    place[everything[wanted[everything]]] = torch.arange(int(wanted.sum()))
    for each, order in zip(present, orders, strict=True):
        each.begin_epoch(order, place[order])
    # Whole batches, or one small one: every trunk batch has the shape, and so the arithmetic, of an expert's own.
    batches = source.train(seed, epoch, batch_size, wanted, fill=int(wanted.sum()) >= batch_size)
    for first, window_Mhwt in _windows(through_trunk(base, batches, device, forward)):
        for each in present:
            each.train_on(window_Mhwt, first)
    wait_for(device)
    seconds, visits = time.monotonic() - began, sum(each.training.samples for each in present)
    for each in present:
        each.training.end_epoch(seconds * each.training.samples / visits)


def _windows(batches: Iterable[TrunkBatch]) -> Iterator[tuple[int, Tensor]]:
    """The features of several batches together, ``[M, h, w, T]``, and when the pass came to the first of them."""
    first, waiting = 0, list[Tensor]()
    for batch in batches:
        waiting.append(batch.features.permute(0, 2, 3, 1))
        if (len(waiting) + 1) * batch.features.nbytes > WINDOW:
            yield first, torch.cat(waiting)
            first, waiting = first + sum(map(len, waiting)), []
    if waiting:
        yield first, torch.cat(waiting)


class _ExpertInPass:
    """What one expert does in the pass: wait for the features that are its own, and learn a batch at a time."""

    def __init__(
        self, new: NewExpert, sharing: Sharing, recipe: Recipe, source: BatchSource, device: torch.device,
        seed: int, beside: int, forward: Forward,
    ) -> None:  # fmt: skip
        self.k = new.k
        self._share = new.share.cpu()
        self._sharing = sharing
        self._labels = source.labels
        self._device = device
        self._batch_size = recipe.batch_size
        expert = new.expert.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        loss = expert_loss(expert, self._share, sharing, device, recipe, forward)
        what = f"expert {new.k}"
        self.training = Training(expert, recipe, loss, device, what, seed, new.checkpoint, beside=beside)

    def order(self, everything: Tensor, seed: int, epoch: int) -> Tensor:
        """The images ``[n]`` that this expert visits in the epoch, in the order of ``everything`` ``[N]``."""
        order = everything
        if self._sharing == "sampling":
            order = order[chosen_images(self._share, seed, self.k, epoch)[order]]
        if len(order) == 0:
            raise TrainingError(f"expert {self.k}: epoch {epoch + 1} has no data; ask for fewer experts")
        return torch.cat(batch_orders(order, self._batch_size))

    def begin_epoch(self, order: Tensor, places: Tensor) -> None:
        """The images ``[n]`` of the epoch, and when ``[n]`` (ascending) the pass comes to each."""
        self._places = places.numpy()  # looked up on the host: nothing waits for the device
        # Everything that the epoch will index with goes to the device now: nothing waits for it later.
        self._places_there = places.to(self._device)
        self._batches = deque(batch_orders(order.to(self._device), self._batch_size))
        self._gathered = 0
        self._waiting: list[Tensor] = []
        self.training.begin_epoch(len(self._batches))

    def train_on(self, window_Mhwt: Tensor, first: int) -> None:
        """Take one's own of a window of the pass, which came to its images at ``first`` and after; learn each batch."""
        end = int(np.searchsorted(self._places, first + len(window_Mhwt)))
        rows = self._places_there[self._gathered : end] - first
        self._gathered = end
        features = torch.cat([*self._waiting, window_Mhwt.index_select(0, rows)])
        while self._batches and len(self._batches[0]) <= len(features):
            batch = self._batches.popleft()
            own_Bhwt, features = features[: len(batch)], features[len(batch) :]
            self.training.step(TrunkBatch(own_Bhwt.permute(0, 3, 1, 2), self._labels[batch], batch))
        self._waiting = [features.clone()]  # not a view, which would keep all of the window's
