"""Backbones that there are not, experts from the base's weights, costs of pairs, the form for inference."""

import pytest
import torch
from torch import nn

from repro.errors import SpecError
from repro.models.cost import model_cost
from repro.models.inference import for_inference
from repro.models.registry import ExpertInit, build_backbone, build_head, freeze, init_expert, with_weights
from tests.helpers import draw_statistics

CPU = torch.device("cpu")
WIDTH = 0.0625


@pytest.mark.parametrize("init", ["prefix", "scratch"])
@pytest.mark.parametrize("name", ["tr10", "tr18"])
def test_an_expert_takes_the_blocks_that_the_base_has_too_and_no_memory_of_it(name: str, init: ExpertInit) -> None:
    """All of the base's own depth; of tr18 on tr10 the second block of each stage stays as it was drawn."""
    base, fresh = build_backbone("tr10", 5, WIDTH), build_head(name, 5, WIDTH)
    before, source = {k: v.clone() for k, v in fresh.state_dict().items()}, base.head.state_dict()
    expert = init_expert(base, fresh, init).state_dict()
    for key, value in expert.items():
        drawn = init == "scratch" or key.startswith(("features.0.1", "features.1.1"))
        assert torch.equal(value, before[key] if drawn else source[key]), key
    assert not {t.data_ptr() for t in expert.values()} & {t.data_ptr() for t in source.values()}


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("tr19", {}, "choose one of tr10"),
        ("tr18", {"pretrained": True}, "no pretrained weights of tr18"),
        ("tr10", {"start": "imagenet"}, "no pretrained weights of tr10"),
        ("resnet101", {"width": 0.5}, "no width multiplier"),
        ("resnet18", {"pretrained": True}, "1000 classes, not 5"),
        ("tr10", {"width": 0.01}, "leaves no channels"),
    ],
)
def test_impossible_backbones(name: str, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        build_backbone(name, 5, **options)  # type: ignore[arg-type]


def test_few_channels_and_odd_batches_train() -> None:
    """Strided 1x1 convolutions of 8 channels, channels-last, once wrote past their buffers (see Shortcut)."""
    head = build_head("tr10", 5, 0.0625).to(memory_format=torch.channels_last)
    for batch in [3, 5, 9, 17, 21] * 5:
        x = torch.randn(batch, 8, 16, 16).contiguous(memory_format=torch.channels_last)
        head(x).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", ["tr18", "swin_v2_t", "mobilenet_v3_small"])
def test_a_network_with_given_weights_is_whole_and_shares_them(name: str) -> None:
    drawn = build_backbone(name, 5)
    given = with_weights(lambda: build_backbone(name, 5), drawn.state_dict())
    originals = dict(drawn.named_parameters()) | dict(drawn.named_buffers())
    for key, tensor in [*given.named_parameters(), *given.named_buffers()]:
        assert tensor.data_ptr() == originals[key].data_ptr(), f"{key} is nowhere, or a copy"


def test_a_mixture_of_table_3_and_the_rules() -> None:
    """What the base networks cost is a table of the exhibit."""
    cost = model_cost("resnet18", "resnet18", 1000, 224, 4)
    assert cost.macs == pytest.approx(2.6367e9, rel=1e-4) and cost.expert_params == 11_006_440
    assert cost.params_inference - cost.params_inference_paper == 512 * 1000 + 1000, "the plain sum is one fc more"
    one = model_cost("tr10", "tr10", 100, 32, 1)
    assert (one.gate_macs, one.gate_params) == (0, 0) and one.without_experts() == model_cost("tr10", None, 100, 32, 1)
    quarter = model_cost("tr10", "tr10", 100, 32, 1, width=0.25)
    assert quarter.base_macs == pytest.approx(one.base_macs / 16, rel=0.03)


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


@pytest.mark.parametrize(("name", "width"), [("tr10", 0.0625), ("tr50", 0.0625), ("mobilenet_v3_small", 1.0)])
def test_the_form_for_inference_is_the_same_function(name: str, width: float) -> None:
    net, images = used(name, width), torch.randn(3, 3, 32, 32)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    folded = for_inference(net, CPU, bf16=False)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), net(images), rtol=1e-3, atol=1e-3)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_the_form_for_inference_in_bf16_is_the_same_to_its_rounding() -> None:
    net, images = used("tr10", 0.125), torch.randn(8, 3, 32, 32)
    folded = for_inference(net, CPU, bf16=True)
    with torch.no_grad():
        expected = net(images)
        with torch.autocast("cpu", torch.bfloat16):
            logits = folded(images)
    assert logits.dtype == torch.float32
    assert float((logits - expected).norm() / expected.norm()) < 0.03
