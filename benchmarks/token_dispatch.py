"""A sparse mixture costs little more than the dense MLP of equal active cost: only the chosen experts run.

Forward and backward of 4,096 tokens of 192 channels through 8 experts with 768 hidden ones, of which a token visits k,
and through an MLP with k times 768. *Sorted* is the project's dispatch: tokens sorted by expert, split, one
matrix product an expert (on a GPU grouped products). *Slots* gives each expert equally many places and one batched
product; *one-hot* moves tokens to those places and back by products with one-hot matrices, in groups of 64 tokens, and
drops what finds no place; *all* runs every expert on every token and selects. Choices are random, and others in each
repetition, as tokens choose anew in each step: a product that is compiled for its number of rows is compiled again.
As in training gradients are made anew in each step, and freed memory stays with the process. On one thread, as each of
several processes that train side by side has, and on all. Interleaved, medians; ratios are taken within a repetition.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from itertools import cycle, product
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import Goal, Outcome, command, operators_of, table, threads, timed
from repro.models.token_dispatch import run_experts
from repro.models.token_routing import within_capacity
from repro.training.device import pick_device

WAYS = ("sorted", "slots", "one-hot", "all")
CAPACITY, GROUP = 1.25, 64
DRAWS = 101
OPERATORS = {
    "matrix products": ("mm", "linear"), "GELU": ("gelu",),
    "moving tokens": ("index", "gather", "scatter", "copy", "cat", "sort", "split", "fill"),
}  # fmt: skip


class Task:
    """Tokens, what they chose, and the weights of dense MLP and experts; N tokens, D model, F hidden, E experts."""

    def __init__(self, tokens: int, dim: int, top_k: int, dtype: torch.dtype, device: torch.device) -> None:
        torch.manual_seed(0)
        made = partial(torch.randn, device=device, dtype=dtype)
        self.hidden, self.num_experts = 4 * dim, 8
        self.x = made(tokens, dim, requires_grad=True)
        draws = [torch.rand(tokens, self.num_experts, device=device).topk(top_k).indices for _ in range(DRAWS)]
        self._draws, self.experts = cycle(draws), draws[0]
        self.weights = torch.rand(tokens, top_k, device=device)

        def parameter(*shape: int) -> Tensor:
            return nn.Parameter(made(self.num_experts, *shape) / shape[-1] ** 0.5)

        self.up = parameter(self.hidden, dim), parameter(self.hidden)
        self.down = parameter(dim, self.hidden), parameter(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, top_k * 4 * dim), nn.GELU(), nn.Linear(top_k * 4 * dim, dim)).to(
            device, dtype
        )
        self.upstream = made(tokens, dim)

    def step(self, forward: Callable[[], Tensor]) -> None:
        self.experts = next(self._draws)
        for leaf in (self.x, *self.up, *self.down, *self.mlp.parameters()):
            leaf.grad = None
        forward().backward(self.upstream)

    def dense(self) -> Tensor:
        return self.mlp(self.x)

    def sorted(self) -> Tensor:
        return run_experts(self.x, self.experts, self.weights, None, self.up, self.down)

    def _batched(self, slots_ESD: Tensor) -> Tensor:
        (w1, b1), (w2, b2) = self.up, self.down
        h = F.gelu(torch.baddbmm(b1[:, None], slots_ESD, w1.transpose(1, 2)))
        return torch.baddbmm(b2[:, None], h, w2.transpose(1, 2))

    def all(self) -> Tensor:
        everything_END = self._batched(self.x.expand(self.num_experts, -1, -1))
        chosen = everything_END.transpose(0, 1).gather(1, self.experts[..., None].expand(-1, -1, self.x.shape[1]))
        return (chosen * self.weights[..., None].to(chosen.dtype)).sum(1)

    def slots(self) -> Tensor:
        n, k = self.experts.shape
        places = int(CAPACITY * n * k / self.num_experts)
        kept = within_capacity(self.experts, self.num_experts, places).flatten()
        expert, token = self.experts.flatten()[kept], torch.arange(n, device=kept.device).repeat_interleave(k)[kept]
        order = F.one_hot(expert, self.num_experts).cumsum(0).gather(1, expert[:, None])[:, 0] - 1
        where = expert * places + order
        gathered = self.x.new_zeros(self.num_experts * places, self.x.shape[1]).index_copy(0, where, self.x[token])
        done = self._batched(gathered.view(self.num_experts, places, -1)).flatten(0, 1)[where]
        return torch.zeros_like(self.x).index_add(0, token, done * self.weights.flatten()[kept, None].to(done.dtype))

    def one_hot(self) -> Tensor:
        n, k = self.experts.shape
        groups, places = n // GROUP, int(CAPACITY * GROUP * k / self.num_experts)
        chosen_GPE = F.one_hot(self.experts.view(groups, GROUP * k), self.num_experts)
        order_GPE = chosen_GPE.cumsum(1) * chosen_GPE - 1  # beyond the places: dropped
        move = (order_GPE[..., None] == torch.arange(places, device=order_GPE.device)).view(groups, GROUP, k, -1)
        there = move.any(2).to(self.x.dtype)  # [groups, tokens, experts x places]
        back = (move * self.weights.view(groups, GROUP, k, 1)).sum(2).to(self.x.dtype)
        slots = (there.transpose(1, 2) @ self.x.view(groups, GROUP, -1)).view(groups, self.num_experts, places, -1)
        done = self._batched(slots.transpose(0, 1).flatten(1, 2)).view(self.num_experts, groups, places, -1)
        return (back @ done.transpose(0, 1).flatten(1, 2)).flatten(0, 1)


def measure(args: argparse.Namespace) -> Outcome:
    tokens, dim, repetitions = (256, 32, 2) if args.quick else (4096, 192, 24)
    device = pick_device("auto")
    rows, parts, goals = [], [], []
    for number, (dtype, bound) in product(
        sorted({1, torch.get_num_threads()}), ((torch.float32, 1.15), (torch.bfloat16, 1.25))
    ):
        for top_k in (1, 2):
            task, name = Task(tokens, dim, top_k, dtype, device), str(dtype).removeprefix("torch.")
            steps = {way: partial(task.step, getattr(task, way.replace("-", "_"))) for way in ("dense", *WAYS)}
            with threads(number):
                times = timed(steps, repetitions)
                for way in ("dense", "sorted"):
                    shares = [operators_of(steps[way], OPERATORS) for _ in range(repetitions // 2)]
                    parts.append([number, name, top_k, way, *(median(each) for each in zip(*shares, strict=True))])
            ratios = [times[way].over(times["dense"]) for way in WAYS]
            rows.append([number, name, top_k, 1e3 * times["dense"].median, times["dense"].spread, *ratios])
            text = f"sorted / dense, {name}, k = {top_k}, {number} thread{'s' * (number > 1)}"
            goals.append(Goal(text=text, measured=ratios[0], bound=bound, at_most=True))
    setting = ["threads", "precision", "k"]
    columns = [*setting, "dense, ms", "spread", *(f"{way} / dense" for way in WAYS)]
    tables = {
        "Forward and backward, in times of the dense MLP": table(columns, rows),
        "Operators of a step, percent": table([*setting, "way", *OPERATORS, "the rest"], parts),
    }
    return Outcome(goals, tables, device=device)


if __name__ == "__main__":
    command(__doc__, measure)
