"""torchvision's networks with mixtures in them: the same to the last bit where they must be, placed as said; costs."""

from itertools import product
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import ConvNeXt, VisionTransformer
from torchvision.models.convnext import CNBlockConfig

from repro.errors import SpecError
from repro.families.sparse import model
from repro.families.sparse.config import SHAPES, SparseConfig, places
from repro.families.sparse.cost import SparseCost, sparse_cost
from repro.families.sparse.model import SparseNetwork, build
from repro.models.sparse_moe import SparseMoE
from repro.models.token_routing import Routing
from repro.randomness import seeded_init

MICRO = ["convnext-micro", "vit-micro"]
STAGES = [CNBlockConfig(32, 64, 2), CNBlockConfig(64, 128, 4), CNBlockConfig(128, None, 2)]
ROUNDING: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def config(network: str = "convnext-micro", **changes: object) -> SparseConfig:
    fields = {"network": network, "num_classes": 10, "image_size": 32, "layer_scale": 1.0, **changes}
    return SparseConfig.model_validate(fields)


def make(network: str = "convnext-micro", **changes: object) -> SparseNetwork:
    with seeded_init(0, "test"):
        return build(config(network, **changes)).eval()


def images(count: int = 3, size: int = 32) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("network", MICRO)
def test_without_mixtures_it_is_torchvisions_network(network: str) -> None:
    with seeded_init(0, "test"):
        if network == "vit-micro":
            theirs: Any = VisionTransformer(32, 4, 4, 3, 96, 384, num_classes=10)
        else:
            theirs = ConvNeXt(STAGES, 0.0, 1.0, 10)
            theirs.features[0][0] = nn.Conv2d(3, 32, 2, 2)
            model._small_normal(theirs.features[0][0])
    ours = make(network, placement="none")
    if network == "vit-micro":  # torchvision's begins with a last layer of zeros
        torch.manual_seed(1)
        nn.init.normal_(ours.fc.weight)
        theirs.heads.head = ours.fc
    logits, choices = ours(images())
    assert torch.equal(logits, theirs.eval()(images())) and not choices and logits.std() > 0


@pytest.mark.parametrize("network", MICRO)
def test_one_expert_is_the_dense_network_to_the_last_bit(network: str) -> None:
    """Values, in training too, with noise and capacity; the added skip left out. Gradients to rounding: a processor
    may add the rows that fill up an expert in another order.
    """
    dense = make(network, placement="none")
    sparse = make(network, num_experts=1, added_skip=False)
    pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
    for ours, theirs in zip(sparse.blocks, dense.blocks, strict=True):
        if isinstance(getattr(ours, "mlp", None), SparseMoE):
            up, down = (layer for layer in theirs.mlp if isinstance(layer, nn.Linear))  # type: ignore[union-attr]
            for layer, name in ((up, "up"), (down, "down")):
                pairs += [(getattr(ours.mlp, f"{name}_{of}"), getattr(layer, of)) for of in ("weight", "bias")]
    for stacked, single in pairs:
        stacked.data[0] = single
    nn.init.normal_(dense.fc.weight, generator=torch.Generator().manual_seed(2))
    state = dense.state_dict()
    sparse.load_state_dict({k: v for k, v in state.items() if k in sparse.state_dict()}, strict=False)
    for training in (False, True):
        ours_out, theirs_out = sparse.train(training)(images()).logits, dense.train(training)(images()).logits
        assert torch.equal(ours_out, theirs_out) and ours_out.std() > 0
    ours_out.square().sum().backward()
    theirs_out.square().sum().backward()
    assert pairs
    for stacked, single in pairs:
        assert stacked.grad is not None
        torch.testing.assert_close(stacked.grad[0], single.grad, **ROUNDING)
    torch.testing.assert_close(next(sparse.parameters()).grad, next(dense.parameters()).grad, **ROUNDING)


def test_placements() -> None:
    """Blocks counted from 0: those of the text, for ConvNeXt-T (3, 3, 9, 3) and 12 layers of ViT."""
    t, vit, iso = (SHAPES[name] for name in ("convnext-t", "vit-s", "convnext-s-iso"))
    assert places(t, "last-2") == [(2, 8), (3, 2)]
    assert places(t, "last-3") == [(2, 4), (2, 8), (3, 2)]
    assert places(t, "stage") == [(0, 2), (1, 2), (2, 8), (3, 2)]
    assert places(t, "every-2") == [(0, 1), (1, 1), (2, 1), (2, 3), (2, 5), (2, 7), (3, 1)]
    assert [block for _, block in places(vit, "every-2")] == [1, 3, 5, 7, 9, 11]
    assert places(vit, "last-2") == [(0, 9), (0, 11)] and places(iso, "last-2") == [(0, 15), (0, 17)]
    micro = [places(SHAPES["convnext-micro"], name) for name in ("last-2", "last-3", "stage", "every-2")]
    assert all(micro.count(blocks) == 1 for blocks in micro), "two placements are the same network"
    with pytest.raises(ValidationError, match="needs stages"):
        config("vit-s", placement="stage")


def test_stems_leave_the_same_map_on_32_and_64_pixels_and_a_prediction_does_not_depend_on_its_batch() -> None:
    for network, size in product(MICRO, (32, 64)):
        choices = make(network, image_size=size)(images(1, size)).choices
        tokens = [64, 16] if network == "convnext-micro" else [65, 65]
        assert [len(choice.experts_NK) for choice in choices] == tokens
    sparse = make(top_k=2)
    together, alone = sparse(images(4)), sparse(images(4)[2:3])
    torch.testing.assert_close(alone.logits[0], together.logits[2])
    assert torch.equal(alone.choices[0].experts_NK, together.choices[0].experts_NK.unflatten(0, (4, -1))[2])
    with FlopCounterMode(display=False) as counter, torch.no_grad():  # wherever tokens go
        sparse(images(1))
    assert counter.get_total_flops() // 2 == sparse_cost(config(top_k=2)).macs


@pytest.mark.parametrize(("name", "shape"), [("convnext-t", "convnext-micro"), ("vit-b", "vit-micro")])
def test_upcycled_experts_give_the_pretrained_output(name: str, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is chosen, as weights sum to 1. No download: torchvision's network is a small one here."""
    small = SHAPES[shape]._replace(torchvision=SHAPES[name].torchvision)
    monkeypatch.setitem(SHAPES, name, small)
    monkeypatch.setattr(SparseConfig, "patch", property(lambda self: self.shape_patch))

    def pretrained(weights_of: str, weights: str, **more: Any) -> nn.Module:
        assert (weights_of, weights) == (small.torchvision, "IMAGENET1K_V1")
        with seeded_init(0, "theirs"):
            if name == "vit-b":
                return VisionTransformer(64, 16, 4, 3, 96, 384)
            return ConvNeXt(STAGES, more["stochastic_depth_prob"], 1.0)

    monkeypatch.setattr(model, "get_model", pretrained)
    start = {"image_size": 64, "start": "imagenet", "renormalise": True, "added_skip": False}
    dense = make(name, placement="none", **start)
    sparse = make(name, top_k=2, **start)
    sparse.fc.load_state_dict(dense.fc.state_dict())
    torch.testing.assert_close(sparse(images(2, 64)).logits, dense(images(2, 64)).logits, rtol=1e-4, atol=1e-5)
    assert sparse(images(2, 64)).choices[0].experts_NK.unique().numel() > 2


def test_experts_begin_apart_or_alike_gates_have_fewer_dimensions_and_a_skip_goes_around_experts() -> None:
    for init, gate in (("independent", "cos"), ("shared", "l2")):
        for mixture in make(expert_init=init, gate=gate).mixtures:
            assert torch.equal(mixture.up_weight[0], mixture.up_weight[1]) == (init == "shared")
            project = mixture.gate.project
            assert isinstance(project, nn.Linear) and project.out_features * 2 == project.in_features
    block: Any = make().blocks[-1]  # with experts that give nothing it is x + γ h
    for p in block.mlp.expert_parameters():
        p.data.zero_()
    x = torch.randn(2, 128, 4, 4)
    torch.testing.assert_close(block(x)[0], x + block.layer_scale * block.spatial(x).permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "convnext-x"}, "choose one of convnext-t"),
        ({"top_k": 9}, "9 experts of 8"),
        ({"image_size": 33}, "no multiple of the stem's 2 px"),
        ({"start": "imagenet"}, "weights of convnext-t, convnext-s, convnext-b, vit-b at width 1 only"),
        ({"network": "convnext-t", "start": "imagenet"}, "images of 128 px or more"),
        ({"network": "convnext-t", "start": "imagenet", "image_size": 224}, "renormalise true and hidden_ratio 4"),
    ],
)
def test_what_does_not_fit_is_said(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**{"network": "convnext-micro", **changes})  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="multiples of 8"):  # by grouped products
        SparseMoE([(nn.Linear(18, 72), nn.Linear(72, 18))], "conv", Routing())


def cost(network: str = "convnext-t", **changes: object) -> SparseCost:
    """On ImageNet, unless it is said otherwise."""
    return sparse_cost(config(network, **{"num_classes": 1000, "image_size": 224, **changes}))


@pytest.mark.parametrize("network", ["convnext-micro", "vit-micro", "convnext-s-iso"])
def test_equal_active_macs_at_the_dense_hidden_ratio(network: str) -> None:
    """At k = 1, and at k = 2 with half the ratio, a network costs what the dense one does and its gates."""
    dense = cost(network, image_size=32, placement="none").macs
    for top_k in (1, 2):
        eight, four = (
            cost(network, image_size=32, top_k=top_k, hidden_ratio=4 / top_k, num_experts=number).macs - dense
            for number in (8, 4)
        )
        assert 0 < eight < 0.02 * dense and 2 * four == eight, "what is more is the gates' D x E a token"


def test_the_routed_share_is_recorded() -> None:
    assert cost(placement="none").routed_share == 0
    assert cost().routed_share == pytest.approx(2 * 0.2312e9 / cost().macs, rel=0.01)
    assert cost("vit-s", placement="every-2", top_k=2).routed_share == pytest.approx(0.47, abs=0.01)
