"""Gates, top-k, capacity and the balance losses on cases worked by hand."""

import math
from typing import Any

import pytest
import torch

from repro.models.token_routing import Routing, build_gate, importance_loss, load_loss, within_capacity


def phi(z: float) -> float:
    """The standard normal distribution function."""
    return (1 + math.erf(z / math.sqrt(2))) / 2


def test_importance_of_two_tokens_by_hand() -> None:
    """Sums 1.2 and 0.8: mean 1, variance 0.04."""
    assert importance_loss(torch.tensor([[0.9, 0.1], [0.3, 0.7]])).item() == pytest.approx(0.04)
    assert importance_loss(torch.tensor([[1.0, 0.0], [1.0, 0.0]])).item() == pytest.approx(1.0), "all to one: E - 1"
    even = torch.full((4, 2), 0.5, requires_grad=True)
    importance_loss(even).backward()  # of which a standard deviation would have no gradient
    assert even.grad is not None and (even.grad == 0).all()


@pytest.mark.parametrize(
    ("clean", "noisy", "sigma", "k", "best_of_others"),
    [
        ([1.0, 0.0, 0.0], [0.5, 0.8, -1.0], 0.5, 1, (0.8, 0.5, 0.8)),
        ([2.5, 2.0, 1.5], [3.0, 2.0, 1.0], 1.0, 2, (1, 1, 2)),
    ],
)
def test_load_of_one_token_by_hand(
    clean: list[float], noisy: list[float], sigma: float, k: int, best_of_others: tuple[float, ...]
) -> None:
    """An expert is chosen where its logit is above the k-th best of the others."""
    load = [phi((own - other) / sigma) for own, other in zip(clean, best_of_others, strict=True)]
    mean = sum(load) / 3
    expected = sum((x - mean) ** 2 for x in load) / 3 / mean**2
    loss = load_loss(torch.tensor([clean]), torch.tensor([noisy]), sigma, k)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_losses_of_a_choice_get_the_right_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importance is of clean probabilities, load of clean against noisy, and the experts are those of noisy logits."""
    noise = torch.tensor([[-4.0, 6.0], [0.0, 0.0]])
    monkeypatch.setattr(torch, "randn_like", lambda x: noise)
    clean = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    choice = Routing(noise=1.0).choose(clean, training=True)
    noisy = clean + noise / 2
    assert choice.experts_NK[:, 0].tolist() == [1, 0]
    torch.testing.assert_close(choice.weights_NK[:, 0], noisy.softmax(1).amax(1))
    torch.testing.assert_close(choice.losses["importance"], importance_loss(clean.softmax(1)))
    torch.testing.assert_close(choice.losses["load"], load_loss(clean, noisy, 0.5, 1))


def test_evaluation_has_no_noise_no_capacity_no_loss() -> None:
    logits = torch.tensor([[2.0, 1.0]]).repeat(10, 1)
    choice = Routing().choose(logits, training=False)
    assert (choice.experts_NK == 0).all() and choice.kept_NK is None and not choice.losses
    alone = Routing().choose(logits[:1], training=False)
    assert torch.equal(alone.weights_NK[0], choice.weights_NK[0]), "a prediction depends on its batch"


def test_a_softmax_after_top_1_gives_the_gate_no_gradient() -> None:
    """Why raw weights are the default."""
    for renormalise in (False, True):
        logits = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
        Routing(renormalise=renormalise).choose(logits, training=False).weights_NK.square().sum().backward()
        assert logits.grad is not None and bool(logits.grad.abs().max() < 1e-6) == renormalise


def test_capacity_by_hand_and_places_are_an_equal_share_times_it() -> None:
    """Three tokens want expert 0 first, which takes two; second choices come after all first ones."""
    experts = torch.tensor([[0, 1], [0, 1], [0, 1], [1, 0]])
    assert within_capacity(experts, 2, 2).tolist() == [[True, True], [True, False], [False, False], [True, False]]
    prioritised = within_capacity(experts, 2, 2, torch.tensor([0.5, 0.6, 0.9, 0.7]))
    assert prioritised.tolist() == [[False, False], [True, False], [True, True], [True, False]]
    # 12 tokens, 2 choices, 4 experts: a share is 6, so 1.05 of it is 7 places; all want experts 0 and 1.
    logits = torch.tensor([[4.0, 3.0, 0.0, 0.0]]).repeat(12, 1)
    choice = Routing(2, noise=0.0, capacity=1.05).choose(logits, training=True)
    assert choice.kept_NK is not None and choice.kept_NK.sum(0).tolist() == [7, 7]
    assert "load" not in choice.losses, "without noise the load is not defined"


@pytest.mark.parametrize("name", ["conv", "cos", "l2"])
def test_gates_give_logits_of_their_likeness(name: str) -> None:
    torch.manual_seed(0)
    gate: Any = build_gate(name, 16, 4, 8)  # type: ignore[arg-type]
    x = torch.randn(5, 16)
    if name == "conv":
        expected = x @ gate.weight.t()
        assert gate.bias is None
    elif name == "cos":
        expected = 2 * torch.cosine_similarity(gate.project(x)[:, None], gate.codes.t()[None], dim=2)
    else:
        expected = -2 * torch.cdist(gate.project(x), gate.codes.t())
    torch.testing.assert_close(gate(x), expected, rtol=1e-4, atol=1e-5)
    gate(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in gate.parameters())
