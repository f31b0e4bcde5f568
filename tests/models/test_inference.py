"""The form for inference is the same function, and leaves the trained module alone."""

import pytest
import torch
from torch import nn

from repro.models.inference import for_inference
from repro.models.registry import build_backbone, freeze
from tests.helpers import draw_statistics

CPU = torch.device("cpu")


def used(name: str, width: float = 1.0) -> nn.Module:
    """A backbone whose BatchNorms have seen something."""
    torch.manual_seed(0)
    net = build_backbone(name, 10, width)
    draw_statistics(net)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return freeze(net)


@pytest.mark.parametrize(
    ("name", "width"),
    [("tr10", 0.0625), ("tr18", 0.0625), ("tr50", 0.0625), ("resnet18", 1.0), ("mobilenet_v3_small", 1.0)],
)
def test_it_is_the_same_function(name: str, width: float) -> None:
    net, images = used(name, width), torch.randn(3, 3, 32, 32)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    folded = for_inference(net, CPU, bf16=False)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), net(images), rtol=1e-3, atol=1e-3)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_in_bf16_it_is_the_same_to_bf16s_rounding() -> None:
    net, images = used("tr10", 0.125), torch.randn(8, 3, 32, 32)
    folded = for_inference(net, CPU, bf16=True)
    with torch.no_grad():
        expected = net(images)
        with torch.autocast("cpu", torch.bfloat16):
            said = folded(images)
    assert said.dtype == torch.float32
    assert float((said - expected).norm() / expected.norm()) < 0.03
