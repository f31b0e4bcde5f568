"""Small things that the tests of more than one part share: what is compared, damaged, or made up."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.lines import Line2D
from torch import nn

from repro.data.dataset import ImageDataset
from repro.families.single_gate.export import Config
from repro.families.single_gate.model import SingleGateMoE
from repro.models.registry import build_backbone, build_head, freeze
from repro.study.results import StudyResult
from repro.training.recipe import Recipe

TABLE2 = {
    ("backbone", 0): [57.0, 57.2, 57.4],
    ("expert", 1): [58.0, 58.1, 58.2],
    ("bagging", 1): [58.2, 58.3, 58.4],
    ("expert", 20): [59.0, 59.1, 59.2],
    ("bagging", 20): [59.5, 59.6, 59.7],
}
"""Made-up values of Table 2, for ``made_up``."""

CHOSEN = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]])[..., None]
"""The experts of two images of four tokens."""


RECIPE = Recipe(
    source="test", epochs=2, batch_size=16, learning_rate=0.05, nesterov=True, weight_decay=5e-4, schedule="one-cycle"
)


def same(a: nn.Module, b: nn.Module) -> bool:
    """To the last bit."""
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def numbers(result: StudyResult) -> dict[tuple[int, str, str], float]:
    return {(m.num_experts, m.method, m.metric): m.value for m in result.measurements}


def flip_a_byte(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)


def drawn_at(line: Line2D) -> tuple[list[float], list[float]]:
    """The x and the y of a line's points."""
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def mixture(name: str, classes: int, num_experts: int, width: float = 0.0625) -> SingleGateMoE:
    """A frozen one of like networks, drawn from seed 0."""
    torch.manual_seed(0)
    base, experts = build_backbone(name, classes, width), [build_head(name, classes, width) for _ in range(num_experts)]
    return freeze(SingleGateMoE(base, nn.Linear(base.head.fc.in_features, num_experts), experts))


def to_export(name: str, num_experts: int) -> tuple[SingleGateMoE, Config]:
    """A mixture of three classes and its configuration; tr-networks are narrow."""
    width = 0.0625 if name.startswith("tr") else 1.0
    draw_statistics(moe := mixture(name, 3, num_experts, width))
    config = Config(
        base=name, expert=name, width=width, num_experts=num_experts, classes=("apple", "leaf", "sky"), image_size=32,
        shorter_side=36, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )  # fmt: skip
    return moe, config


def draw_statistics(net: nn.Module) -> None:
    """BatchNorm's running means and variances, as a training may leave them."""
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.5, 0.5)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)


def apes_and_bats() -> ImageDataset:
    """Four black images, of two classes in turn."""
    black, labels = np.zeros((4, 3, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    return ImageDataset("two", "test", black, labels, ("ape", "bat"), (0.5,) * 3, (0.5,) * 3)
