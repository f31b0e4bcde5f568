"""How long an image takes: each network in the form in which it is fastest to use, on one thread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from repro.exhibits.three_families.bodies import Answer
from repro.exhibits.three_families.families import MANY
from repro.training.device import autocast

BATCHES = {"equal-latency": 1, "equal-throughput": MANY}
"""Images that come together where a plain network is held to the time that a mixture takes."""
REPETITIONS = 5


def milliseconds(answers: Mapping[str, Answer], images: Tensor) -> dict[str, float]:
    """Milliseconds that each takes for an image of a batch: the median of interleaved repetitions."""
    found: dict[str, list[float]] = {name: [] for name in answers}
    with torch.inference_mode(), autocast(images.device):
        for _ in range(REPETITIONS):
            for name, answer in answers.items():
                timer = Timer("answer(images)", globals={"answer": answer, "images": images})
                found[name].append(1e3 * timer.blocked_autorange(min_run_time=0.1).median / len(images))
    return {name: statistics.median(each) for name, each in found.items()}
