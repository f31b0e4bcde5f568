"""Sparse networks through the one loop: balance losses apart, randomness resumed bit-exact, dead experts named."""

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.data.modes import make_modes
from repro.families.sparse import steps
from repro.families.sparse.config import SparseConfig
from repro.families.sparse.model import SparseNetwork, SparseOutput, build
from repro.models.token_routing import Choice
from repro.randomness import seeded
from repro.training.device import autocast
from repro.training.fit import Epoch
from repro.training.recipe import Group, Recipe
from tests.helpers import same
from tests.stopping import Stop

CPU = torch.device("cpu")
RECIPE = Recipe(
    source="a test", epochs=3, batch_size=50, optimizer="adamw", learning_rate=2e-3, weight_decay=0.05,
    decayed="weights", groups=(Group(match=r"mlp\.(up|down)_weight", decay=2.0),), schedule="one-cycle",
    warmup_from=0.0, label_smoothing=0.1, mixup=0.2, clip_norm=1.0, augmentation=Augmentation(crop="pad", pad=2),
)  # fmt: skip


def config(**changes: object) -> SparseConfig:
    fields = {"network": "convnext-micro", "num_classes": 20, "image_size": 32, "width": 0.25, "layer_scale": 0.1}
    return SparseConfig.model_validate({**fields, "drop_path": 0.2, **changes})


def fresh(asked: SparseConfig) -> SparseNetwork:
    with seeded(0, "sparse", asked.network):
        return build(asked)


@pytest.fixture(scope="module")
def source() -> DeviceBatches:
    return DeviceBatches(make_modes("train", 100), RECIPE.augmentation, CPU)


@pytest.mark.parametrize("network", ["convnext-micro", "vit-micro"])
def test_resumed_bit_exact_with_noise_and_drop_path_it_names_each_tokens_experts(
    source: DeviceBatches, tmp_path: Path, stops: list[int], network: str
) -> None:
    def trained(at: Path | None = None) -> tuple[SparseNetwork, list[Epoch]]:
        asked = config(network=network, top_k=2)
        made = fresh(asked)
        return made, steps.train_network(made, asked, RECIPE, source, CPU, 0, at)

    (whole, history), stops[1] = trained(), 1
    with pytest.raises(Stop):
        trained(tmp_path / "state")
    torch.randn(7)  # whatever was drawn elsewhere is of no account
    resumed, again = trained(tmp_path / "state")
    assert same(whole, resumed) and [e._replace(seconds=0) for e in history] == [e._replace(seconds=0) for e in again]

    tensors = steps.predict(whole, source, CPU)
    tokens = (64, 16) if network == "convnext-micro" else (65, 65)
    assert [tensors[f"experts-00{i}"].shape for i in (1, 2)] == [(100, number, 2) for number in tokens]
    assert tensors["logits"].shape == (100, 20) and torch.equal(tensors["labels"], source.labels)
    with torch.no_grad(), autocast(CPU):
        last = whole(next(source.clean(100)).images).choices[1]
    assert torch.equal(tensors["experts-002"].flatten(0, 1), last.experts_NK.short())


def test_balance_losses_have_names_and_are_no_part_of_the_loss(source: DeviceBatches) -> None:
    network = fresh(config()).train()
    batch = next(source.train(0, 0, 50))
    torch.manual_seed(0)
    out = steps.sparse_step(network, config(), RECIPE)(batch, 0.0)
    assert set(out.auxiliary) == {"importance", "load"} and all(value > 0 for value in out.auxiliary.values())
    torch.manual_seed(0)
    logits = network(batch.images).logits
    assert torch.equal(out.loss, F.cross_entropy(logits, batch.labels, label_smoothing=0.1))
    torch.stack([*out.auxiliary.values()]).sum().backward()
    grads = [parameter.grad for mixture in network.mixtures for parameter in mixture.gate.parameters()]
    assert grads and all(grad is not None and grad.abs().sum() > 0 for grad in grads)


def choice(experts: list[int], kept: list[bool], **losses: float) -> Choice:
    of_losses = {name: torch.tensor(value) for name, value in losses.items()}
    return Choice(torch.tensor(experts)[:, None], torch.ones(len(experts), 1), torch.tensor(kept)[:, None], of_losses)


def test_losses_and_loads_by_hand() -> None:
    one = choice([0, 0, 0, 1], [True, True, False, True], importance=2.0, load=1.0)
    out = SparseOutput(Tensor(), (one, choice([0, 1, 0, 1], [True] * 4, importance=4.0, load=0.0)))
    weights = config(num_experts=2, importance_weight=0.1, load_weight=0.0)
    losses = steps.balance_losses(out, weights)
    assert losses.keys() == {"importance"} and losses["importance"].item() == pytest.approx(0.3)
    shares = steps.loads(out, weights)
    assert shares["experts 1"].tolist() == [1.5, 0.5] and shares["experts 2"].tolist() == [1.0, 1.0]
    assert shares["dropped 1"].item() == 0.25 and shares["dropped 2"].item() == 0.0


def test_dead_experts_are_named(source: DeviceBatches, capsys: pytest.CaptureFixture[str]) -> None:
    entry = Epoch(0.0, 0.0, 0.0, {"experts 1": [1.0, 1.0], "experts 2": [0.05, 2.9, 0.0], "dropped 2": 0.0})
    assert steps.idle_experts(entry) == ["experts 0, 2 of mixture 2"]
    collapsed = config(noise=0.0, importance_weight=0.0, load_weight=0.0)
    network = fresh(collapsed)
    for mixture in network.mixtures:  # all logits alike: every token goes to the same expert
        torch.nn.init.zeros_(mixture.gate.weight)  # type: ignore[arg-type]
        mixture.gate.requires_grad_(False)
    steps.train_network(network, collapsed, RECIPE.model_copy(update={"epochs": 1}), source, CPU, 0)
    heard = capsys.readouterr().err
    assert re.search(r"epoch 1: next to no tokens for experts (\d, ){6}\d of mixture 1; experts (\d, ){6}\d of", heard)
