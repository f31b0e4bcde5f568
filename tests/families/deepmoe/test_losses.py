"""Equations (6) to (8) on cases worked by hand, the schedules, both stages, and collapse."""

from math import log

import pytest
import torch
import torch.nn.functional as F

from repro.data.batches import Batch
from repro.errors import TrainingError
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.model import DeepMoEOutput, Gating, build
from repro.families.deepmoe.training import check_collapse, lam_at, objective, sparsity, stage_one
from repro.randomness import seeded_init
from repro.training.recipe import Recipe

CONFIG = DeepMoEConfig(
    backbone="tr10", width=0.0625, num_classes=3, lam=0.1, mu=2.0, lambda_warmup=0.0, lambda_reaches="all"
)
RECIPE = Recipe(source="a test", epochs=2, batch_size=8, learning_rate=0.05)


def batch(n: int = 12) -> Batch:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    return Batch(torch.randn(n, 3, 32, 32, generator=draw) + labels[:, None, None, None], labels, torch.arange(n))


def test_equation_6_gates_are_relu_of_w_e_without_bias_and_begin_near_one() -> None:
    for output in ("softmax", "relu"):
        with seeded_init(0, "test"):
            model = build(CONFIG.model_copy(update={"embedding_output": output}))
        gates, _, _ = model.gating(batch(64).images)
        assert 0.5 < gates.mean().item() < 2 and (gates > 0).float().mean().item() > 0.99
    gating = Gating((4,), 2, 3).eval()
    with torch.no_grad():
        gating.classifier.weight.zero_()
        gating.classifier.bias.copy_(torch.tensor([log(3.0), 0.0]))  # e = (3/4, 1/4)
        gating.heads.weight.copy_(torch.tensor([[1.0, 1.0], [4.0, -4.0], [-1.0, 2.0]]))
        gates, e, logits = gating(torch.randn(2, 3, 8, 8))
    torch.testing.assert_close(e, torch.tensor([[0.75, 0.25]]).expand(2, 2))
    torch.testing.assert_close(gates, torch.tensor([[1.0, 2.0, 0.0]]).expand(2, 3))
    torch.testing.assert_close(logits, torch.tensor([[log(3.0), 0.0]]).expand(2, 2))
    assert [name for name, _ in gating.heads.named_parameters()] == ["weight"]
    gating, images = Gating((4,), 2, 3, "relu").eval(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(gating(images)[0], F.relu(gating.features(images) @ gating.heads.weight.T))
    assert gating.heads.in_features == 4


GATES = torch.tensor([[1.0, 0.0, 3.0, 2.0, 0.0], [0.0, 0.0, 0.0, 4.0, 2.0]])  # layers of 3 and 2 channels


def test_equation_8_and_lambda_by_hand() -> None:
    assert sparsity(GATES, [3, 2], "sum") == pytest.approx(((4 + 2) + (0 + 6)) / 2)
    assert sparsity(GATES, [3, 2], "mean") == pytest.approx(((4 / 3 + 2 / 2) + (0 + 6 / 2)) / 2)
    rising = CONFIG.model_copy(update={"lam": 2.0, "lambda_warmup": 0.2})
    assert [lam_at(rising, done) for done in (0.0, 0.1, 0.2, 0.9)] == [0.0, 1.0, 2.0, 2.0]
    assert lam_at(CONFIG, 0.0) == 0.1


def test_equation_7_by_hand() -> None:
    """Base right with probability 1/2, embedding with 1/3 (uniform): ln 2 + λ 16/6 + μ ln 3."""
    logits = torch.tensor([[log(2.0), 0.0, 0.0], [0.0, log(2.0), 0.0]])
    out = DeepMoEOutput(logits, GATES, torch.ones(2, 3) / 3, torch.zeros(2, 3))
    step = objective(CONFIG, RECIPE, out, torch.tensor([0, 1]), [3, 2], 0.0, GATES)
    assert step.loss == pytest.approx(log(2), rel=1e-5)
    assert step.auxiliary["gates"] == pytest.approx(0.1 * ((4 / 3 + 1) + 3) / 2, rel=1e-5)
    assert step.auxiliary["embedding"] == pytest.approx(2 * log(3), rel=1e-5)
    assert set(step.auxiliary) == {"gates", "embedding"} and (int(step.correct), step.samples) == (2, 2)
    torch.testing.assert_close(step.statistics["active"].float(), torch.tensor([2 / 6, 3 / 4]))


@pytest.mark.parametrize("reaches", ["all", "heads"])
def test_what_the_gradient_of_lambda_reaches(reaches: str) -> None:
    with seeded_init(0, "test"):
        config = CONFIG.model_copy(update={"lambda_reaches": reaches, "mu": 0.0})
        model = build(config)
    stage_one(model, config, RECIPE)(batch(), 0.5).auxiliary["gates"].backward()
    assert model.gating.heads.weight.grad is not None
    assert (model.gating.classifier.weight.grad is None) == (reaches == "heads")


def test_a_collapse_names_layer_epoch_and_remedy() -> None:
    model = build(CONFIG)
    with torch.no_grad():
        start = sum(model.network.sizes[:2])
        model.gating.heads.weight[start : start + model.network.sizes[2]] = -1
    active = stage_one(model, CONFIG, RECIPE)(batch(), 0.5).statistics["active"].tolist()
    named = (
        r"collapsed: block 1, convolution 2 had no active channel in epoch 4; lower lam \(0.1\), raise lambda_warmup"
    )
    with pytest.raises(TrainingError, match=named):
        check_collapse(active, model.network.layers, 3, CONFIG)
    check_collapse([*active[:2], 0.01, *active[3:]], model.network.layers, 3, CONFIG)
