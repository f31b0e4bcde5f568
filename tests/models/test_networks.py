"""Backbones, their cut, experts from the base's weights, and the mixture."""

import pytest
import torch
from torch import nn

from repro.errors import SpecError
from repro.families.single_gate.model import SingleGateMoE
from repro.models.registry import build_backbone, build_head, freeze, init_expert, new_expert, with_weights
from repro.models.torchvision_nets import PAPER_NETWORKS
from repro.models.trnet import BLOCKS_PER_STAGE

WIDTH = 0.0625


@pytest.mark.parametrize("name", [*BLOCKS_PER_STAGE, *PAPER_NETWORKS])
def test_trunk_and_head_make_the_whole(name: str) -> None:
    net = build_backbone(name, 7, WIDTH if name.startswith("tr") else 1.0).eval()
    images = torch.randn(2, 3, 32, 32)
    features = net.trunk(images)
    assert features.shape[1] == net.trunk_channels
    torch.testing.assert_close(net(images), net.head.fc(net.embed(images)))
    assert net(images).shape == (2, 7)


def test_expert_of_the_same_depth_starts_as_the_base() -> None:
    base = build_backbone("tr18", 5, WIDTH)
    expert = init_expert(base, build_head("tr18", 5, WIDTH))
    assert all(torch.equal(v, base.head.state_dict()[k]) for k, v in expert.state_dict().items())


def test_expert_of_another_depth_takes_the_blocks_that_both_have() -> None:
    base = build_backbone("tr10", 5, WIDTH)
    fresh = build_head("tr18", 5, WIDTH)
    before = {k: v.clone() for k, v in fresh.state_dict().items()}
    expert = init_expert(base, fresh)
    source = base.head.state_dict()
    for name, value in expert.state_dict().items():
        second_block = name.startswith(("features.0.1", "features.1.1"))
        assert torch.equal(value, before[name] if second_block else source[name]), name


def test_scratch_copies_nothing() -> None:
    base, head = build_backbone("tr10", 5, WIDTH), build_head("tr10", 5, WIDTH)
    before = {k: v.clone() for k, v in head.state_dict().items()}
    init_expert(base, head, "scratch")
    assert all(torch.equal(v, before[k]) for k, v in head.state_dict().items())


def test_networks_that_do_not_join_are_refused() -> None:
    with pytest.raises(SpecError, match="do not join"):
        init_expert(build_backbone("tr18", 5, WIDTH), build_head("tr18", 5, 2 * WIDTH))


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("tr19", {}, "choose one of tr10"),
        ("tr18", {"pretrained": True}, "no pretrained weights of tr18"),
        ("resnet101", {"width": 0.5}, "no width multiplier"),
        ("resnet18", {"pretrained": True}, "1000 classes, not 5"),
        ("tr10", {"width": 0.01}, "leaves no channels"),
    ],
)
def test_impossible_backbones(name: str, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        build_backbone(name, 5, **options)  # type: ignore[arg-type]


def test_moe_gives_base_gate_and_any_chosen_expert() -> None:
    base = build_backbone("tr10", 5, WIDTH)
    experts = [build_head("tr10", 5, WIDTH) for _ in range(3)]
    moe = SingleGateMoE(base, nn.Linear(base.head.fc.in_features, 3), experts)
    freeze(moe)
    images = torch.randn(4, 3, 32, 32)
    out, some = moe(images), moe(images, experts=[2])
    assert (out.base_logits.shape, out.gate_probs.shape, out.expert_logits.shape) == ((4, 5), (4, 3), (4, 3, 5))
    torch.testing.assert_close(out.gate_probs.sum(1), torch.ones(4))
    torch.testing.assert_close(some.expert_logits[:, 0], out.expert_logits[:, 2])
    torch.testing.assert_close(out.base_logits, base(images))


def test_few_channels_and_odd_batches_train() -> None:
    """Strided 1x1 convolutions of 8 channels, channels-last, once wrote past their buffers (see Shortcut)."""
    head = build_head("tr10", 5, 0.0625).to(memory_format=torch.channels_last)
    for batch in [3, 5, 9, 17, 21] * 20:
        x = torch.randn(batch, 8, 16, 16).contiguous(memory_format=torch.channels_last)
        head(x).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


@pytest.mark.parametrize("init", ["prefix", "scratch"])
@pytest.mark.parametrize("name", ["tr10", "tr18"])
def test_a_new_expert_is_a_drawn_one_with_the_bases_weights(name: str, init: str) -> None:
    """Where the base has them all, none is drawn; the numbers are the same."""
    base = build_backbone("tr10", 5, WIDTH)
    torch.manual_seed(3)
    drawn = init_expert(base, build_head(name, 5, WIDTH), init)  # type: ignore[arg-type]
    torch.manual_seed(3)
    new = new_expert(base, name, 5, WIDTH, init)  # type: ignore[arg-type]
    assert new.state_dict().keys() == drawn.state_dict().keys()
    assert all(torch.equal(value, drawn.state_dict()[key]) for key, value in new.state_dict().items())
    own = {t.data_ptr() for t in new.state_dict().values()}
    assert not own & {t.data_ptr() for t in base.state_dict().values()}, "training it leaves the base as it is"
    assert all(p.requires_grad for p in new.parameters())


@pytest.mark.parametrize("name", ["tr18", "resnet18", "swin_v2_t", "convnext_tiny", "efficientnet_b0"])
def test_a_network_with_given_weights_is_whole_and_shares_them(name: str) -> None:
    drawn = build_backbone(name, 5)
    given = with_weights(lambda: build_backbone(name, 5), drawn.state_dict())
    kept = dict(drawn.named_parameters()) | dict(drawn.named_buffers())
    for key, tensor in [*given.named_parameters(), *given.named_buffers()]:
        assert tensor.data_ptr() == kept[key].data_ptr(), f"{key} is nowhere, or a copy"
