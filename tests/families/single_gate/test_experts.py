"""Experts are trained apart: what one sees and becomes does not depend on the others."""

import pytest
import torch

from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.data.modes import make_modes
from repro.errors import TrainingError
from repro.families.single_gate.experts import chosen_images
from repro.families.single_gate.one_pass import NewExpert, train_experts
from repro.models.registry import build_backbone, build_head, init_expert
from repro.training.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(source="test", epochs=1, batch_size=16, learning_rate=0.05)


@pytest.fixture(scope="module")
def source() -> DeviceBatches:
    return DeviceBatches(make_modes("train", 160), Augmentation(crop="pad", pad=2), CPU)


def trained(
    source: DeviceBatches, share: torch.Tensor, sharing: str, k: int = 0, trunk_batchnorm: str = "evaluation"
) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    base = build_backbone("tr10", 20, 0.0625)
    expert = init_expert(base, build_head("tr10", 20, 0.0625))
    trunk = {name: value.clone() for name, value in base.state_dict().items()}
    train_experts(
        [NewExpert(k, expert, share)], base, source, sharing, RECIPE, 0, CPU,  # type: ignore[arg-type]
        trunk_batchnorm=trunk_batchnorm,  # type: ignore[arg-type]
    )  # fmt: skip
    assert all(torch.equal(value, trunk[name]) for name, value in base.state_dict().items()), "the base is frozen"
    return expert.state_dict()


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, b[name]) for name, value in a.items())


def test_sampling_visits_each_image_with_its_probability() -> None:
    share = torch.tensor([0.0, 0.05, 0.5, 1.0])
    visits = torch.stack([chosen_images(share, 0, 3, epoch) for epoch in range(4000)]).double().mean(0)
    assert visits[0] == 0 and visits[3] == 1
    assert visits[1:3].tolist() == pytest.approx([0.05, 0.5], abs=0.03)


def test_the_choice_depends_on_seed_expert_and_epoch_alone() -> None:
    share = torch.full((200,), 0.5)
    first = chosen_images(share, 0, 1, 2)
    assert torch.equal(first, chosen_images(share, 0, 1, 2))
    assert not any(torch.equal(first, chosen_images(share, *other)) for other in [(1, 1, 2), (0, 2, 2), (0, 1, 3)])


def test_with_everything_to_itself_an_expert_is_the_one_of_k_1(source: DeviceBatches) -> None:
    ones = torch.ones(len(source))
    assert equal(trained(source, ones, "sampling"), trained(source, ones, "reweighting"))


@pytest.mark.parametrize("sharing", ["sampling", "reweighting"])
def test_its_share_of_the_data_makes_the_expert(source: DeviceBatches, sharing: str) -> None:
    share = (torch.arange(len(source)) % 2).float().clamp(min=0.05)
    assert equal(trained(source, share, sharing), trained(source, share, sharing))
    assert not equal(trained(source, share, sharing), trained(source, 1.05 - share, sharing))


def test_the_trunk_normalises_by_batches_only_if_asked_and_is_left_as_it_was(source: DeviceBatches) -> None:
    """``trained`` asserts that the base is what it was, running statistics included."""
    ones = torch.ones(len(source))
    running = trained(source, ones, "sampling")
    by_batch = trained(source, ones, "sampling", trunk_batchnorm="training")
    assert not equal(running, by_batch)
    assert equal(by_batch, trained(source, ones, "sampling", trunk_batchnorm="training"))


def test_afterwards_the_trunk_is_frozen_again(source: DeviceBatches) -> None:
    base = build_backbone("tr10", 20, 0.0625)
    expert = init_expert(base, build_head("tr10", 20, 0.0625))
    new = NewExpert(0, expert, torch.ones(len(source)))
    train_experts([new], base, source, "sampling", RECIPE, 0, CPU, trunk_batchnorm="training")
    assert not any(module.training for module in base.modules())


def test_an_expert_without_data_is_named(source: DeviceBatches) -> None:
    with pytest.raises(TrainingError, match="expert 4 has no data"):
        trained(source, torch.zeros(len(source)), "sampling", k=4)


def test_a_trunk_that_normalises_by_batches_has_one_expert_at_a_time(source: DeviceBatches) -> None:
    base, ones = build_backbone("tr10", 20, 0.0625), torch.ones(len(source))
    new = [NewExpert(k, init_expert(base, build_head("tr10", 20, 0.0625)), ones) for k in range(2)]
    with pytest.raises(TrainingError, match="train them one by one"):
        train_experts(new, base, source, "sampling", RECIPE, 0, CPU, trunk_batchnorm="training")
