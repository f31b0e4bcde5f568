"""Backbones, their cut, experts from the base's weights, and the mixture."""

import pytest
import torch

from repro.errors import SpecError
from repro.models.registry import ExpertInit, build_backbone, build_head, init_expert, with_weights
from repro.models.trnet import BLOCKS_PER_STAGE
from tests.helpers import mixture

WIDTH = 0.0625


@pytest.mark.parametrize("name", BLOCKS_PER_STAGE)
def test_trunk_and_head_make_the_whole(name: str) -> None:
    net = build_backbone(name, 7, WIDTH).eval()
    images = torch.randn(2, 3, 32, 32)
    features = net.trunk(images)
    assert features.shape[1] == net.trunk_channels
    torch.testing.assert_close(net(images), net.head.fc(net.embed(images)))
    assert net(images).shape == (2, 7)


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


def test_networks_that_do_not_join_are_refused() -> None:
    with pytest.raises(SpecError, match="do not join"):
        init_expert(build_backbone("tr18", 5, WIDTH), build_head("tr18", 5, 2 * WIDTH))


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


def test_moe_gives_base_gate_and_every_expert() -> None:
    moe, images = mixture("tr10", 5, 3), torch.randn(4, 3, 32, 32)
    out = moe(images)
    assert (out.base_logits.shape, out.gate_probs.shape, out.expert_logits.shape) == ((4, 5), (4, 3), (4, 3, 5))
    torch.testing.assert_close(out.gate_probs.sum(1), torch.ones(4))
    torch.testing.assert_close(moe.experts[2](moe.base.trunk(images)), out.expert_logits[:, 2])
    torch.testing.assert_close(out.base_logits, moe.base(images))


def test_few_channels_and_odd_batches_train() -> None:
    """Strided 1x1 convolutions of 8 channels, channels-last, once wrote past their buffers (see Shortcut)."""
    head = build_head("tr10", 5, 0.0625).to(memory_format=torch.channels_last)
    for batch in [3, 5, 9, 17, 21] * 20:
        x = torch.randn(batch, 8, 16, 16).contiguous(memory_format=torch.channels_last)
        head(x).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", ["tr18", "swin_v2_t", "efficientnet_b0"])
def test_a_network_with_given_weights_is_whole_and_shares_them(name: str) -> None:
    drawn = build_backbone(name, 5)
    given = with_weights(lambda: build_backbone(name, 5), drawn.state_dict())
    kept = dict(drawn.named_parameters()) | dict(drawn.named_buffers())
    for key, tensor in [*given.named_parameters(), *given.named_buffers()]:
        assert tensor.data_ptr() == kept[key].data_ptr(), f"{key} is nowhere, or a copy"
