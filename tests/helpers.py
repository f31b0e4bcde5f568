"""What many tests compare, or damage."""

from pathlib import Path

import torch
from torch import nn

from repro.study.results import StudyResult


def same(a: nn.Module, b: nn.Module) -> bool:
    """To the last bit."""
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def numbers(result: StudyResult) -> dict[tuple[int, str, str], float]:
    return {(m.num_experts, m.method, m.metric): m.value for m in result.measurements}


def flip_a_byte(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)
