"""Compiled networks: the same numbers to float noise, one compilation for all that are built alike."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters
from torch._functorch.compilers import nop

from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.data.modes import make_modes
from repro.families.single_gate.one_pass import NewExpert, train_experts
from repro.models.registry import build_backbone, build_head, init_expert
from repro.training import compiling
from repro.training.classifier import train_base
from repro.training.compiling import LONG, choose, described, forward_on, in_use
from repro.training.fit import Epoch
from tests.helpers import RECIPE, same

CPU = torch.device("cpu")
N = 80
Learnt = tuple[list[nn.Module], list[list[Epoch]]]


@pytest.fixture(autouse=True)
def afresh(fp32: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Single precision, nothing compiled before, and the choice as it was after."""
    monkeypatch.setattr(compiling._Setting, "choice", "auto")
    monkeypatch.setattr(compiling._Setting, "impossible", False)
    monkeypatch.setattr(compiling._Setting, "announced", True)
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def way_of(where: torch.device) -> str:
    """The way of a GPU on a GPU; elsewhere the same one without a compiler behind it."""
    return "on" if where.type == "cuda" else "aot_eager"


def compilations() -> int:
    return counters["stats"]["unique_graphs"]


def learn(where: torch.device, seed: int = 0) -> Learnt:
    """A base, three experts in one pass (one of them with less than a batch of images), one apart."""
    source = DeviceBatches(make_modes("train", N), Augmentation(crop="pad", pad=2, cutout=6), where)
    torch.manual_seed(seed)
    base = build_backbone("tr10", 20, 0.0625)
    heads = [init_expert(base, build_head("tr10", 20, 0.0625)) for _ in range(4)]
    histories = [train_base(base, source, RECIPE, seed, where)]
    g = torch.Generator().manual_seed(1)
    own = torch.multinomial(torch.tensor([0.08, 0.5, 0.42]), N, True, generator=g)
    share = nn.functional.one_hot(own, 3).float()
    assert 0 < share[:, 0].sum() < RECIPE.batch_size
    new = [NewExpert(k, head, share[:, k]) for k, head in enumerate(heads[:3])]
    histories += train_experts(new, base, source, "sampling", RECIPE, seed, where)
    histories += train_experts([NewExpert(3, heads[3], share[:, 1])], base, source, "reweighting", RECIPE, seed, where)
    return [base, *heads], histories


@pytest.fixture(scope="module")
def on_cpu() -> Learnt:
    """What is learnt on the CPU, in single precision, where nothing is compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.training.device.bf16_is_fast", lambda where: False)
        patch.setattr(compiling._Setting, "choice", "off")
        counters.clear()
        learnt = learn(CPU)
        assert compilations() == 0
        return learnt


def test_compiled_training_is_plain_training_to_float_noise_and_a_second_seed_compiles_nothing(
    any_device: torch.device, on_cpu: Learnt
) -> None:
    choose("off")
    plain, said = on_cpu if any_device == CPU else learn(any_device)
    choose(way_of(any_device))
    compiled, told = learn(any_device)
    assert compilations() == 3, "the base in training, its frozen trunk, an expert"
    for a, b in zip(plain, compiled, strict=True):
        torch.testing.assert_close(a.state_dict(), b.state_dict(), rtol=1e-3, atol=1e-4)
    for these, those in zip(said, told, strict=True):
        assert [e.loss for e in these] == pytest.approx([e.loss for e in those], rel=1e-3)
    learn(any_device, seed=1)
    assert compilations() == 3 and not counters["graph_break"]


def test_another_width_is_another_network() -> None:
    choose("aot_eager")
    forward = forward_on(CPU, 4)
    for width, expected in ((0.0625, 1), (0.125, 2), (0.0625, 2)):
        forward(build_head("tr10", 20, width), torch.zeros(4, round(128 * width), 4, 4))
        assert compilations() == expected


def test_more_networks_than_torch_would_keep_by_itself() -> None:
    choose("aot_eager")
    forward = forward_on(CPU, 2)
    layers = [nn.Linear(n, 1) for n in range(1, 13)]
    for _ in range(2):
        for n, layer in enumerate(layers, 1):
            forward(layer, torch.zeros(2, n))
    assert compilations() == 12


def test_a_batch_of_another_size_is_not_compiled() -> None:
    choose("aot_eager")
    forward, layer = forward_on(CPU, 4), nn.Linear(3, 2)
    for size in (1, 2, 3):
        x = torch.randn(size, 3)
        assert torch.equal(forward(layer, x), layer(x))
    assert compilations() == 0
    forward(layer, torch.randn(4, 3))
    assert compilations() == 1


def test_auto_compiles_on_a_gpu_and_long_trainings_on_a_cpu() -> None:
    gpu = torch.device("cuda")
    assert [in_use(CPU), in_use(CPU, LONG - 1), in_use(CPU, LONG), in_use(gpu)] == ["off", "off", "on", "on"]
    assert (described(CPU), described(gpu)) == ("on, from 3000 steps", "on")
    choose("off")
    assert in_use(gpu) == in_use(CPU, LONG) == described(CPU) == "off"
    choose("reduce-overhead")
    assert in_use(CPU) == "reduce-overhead"


def test_a_long_training_on_a_cpu_is_compiled_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Base and experts alike have two epochs of five steps, however few images an expert is given."""
    monkeypatch.setattr(compiling, "LONG", 10)
    monkeypatch.setattr(compiling._Setting, "announced", False)
    monkeypatch.setitem(compiling.WAYS, "on", {"backend": "aot_eager"})
    compiling._compiled.cache_clear()
    try:
        learn(CPU)
    finally:
        compiling._compiled.cache_clear()
    assert compilations() == 3
    assert capsys.readouterr().err.count("compiling networks") == 1


def no_compiler(graph: object, inputs: object) -> None:
    raise OSError("no compiler found")


@pytest.mark.parametrize("fails", ["forward", "backward"])
def test_where_nothing_can_be_compiled_it_is_said_once_and_training_goes_on(
    fails: str, on_cpu: Learnt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where only the backward, which torch by itself would compile at its first use, cannot be."""
    backend = no_compiler if fails == "forward" else aot_autograd(fw_compiler=nop, bw_compiler=no_compiler)
    monkeypatch.setitem(compiling.WAYS, "on", {"backend": backend})
    compiling._compiled.cache_clear()
    choose("on")
    try:
        networks, _ = learn(CPU)
    finally:
        compiling._compiled.cache_clear()
    assert all(map(same, networks, on_cpu[0]))
    said = capsys.readouterr().err
    assert said.count("networks cannot be compiled here") == 1 and "going on without, more slowly" in said
    assert "no compiler found" in said and said.count("\n") == 1


def test_a_mistake_of_the_network_is_not_taken_for_one_of_the_compiler() -> None:
    choose("aot_eager")

    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ x

    with pytest.raises(RuntimeError):
        forward_on(CPU, 2)(Broken(), torch.zeros(2, 3))
    assert in_use(CPU) == "aot_eager"
