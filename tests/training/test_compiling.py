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
from tests.helpers import RECIPE

CPU = torch.device("cpu")
N = 80


@pytest.fixture(autouse=True)
def afresh(fp32: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Single precision, nothing compiled before, and the choice as it was after."""
    monkeypatch.setattr(compiling._Setting, "choice", "auto")
    monkeypatch.setattr(compiling._Setting, "impossible", False)
    monkeypatch.setattr(compiling._Setting, "announced", False)
    compiling._compiled.cache_clear()
    torch._dynamo.reset()
    counters.clear()
    yield
    compiling._compiled.cache_clear()
    torch._dynamo.reset()


def learn(where: torch.device, seed: int = 0) -> tuple[list[nn.Module], list[list[Epoch]], int]:
    """A base, three experts in one pass (one of them with less than a batch of images), one apart; compilations."""
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
    return [base, *heads], histories, counters["stats"]["unique_graphs"]


def test_compiled_training_is_plain_training_to_float_noise_and_a_second_seed_compiles_nothing(
    any_device: torch.device, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a CPU without a compiler behind it, as base and experts have ten steps each, however few images."""
    choose("off")
    plain, plain_histories, compilations = learn(any_device)
    assert compilations == 0
    monkeypatch.setattr(compiling, "LONG", 10)
    if any_device == CPU:
        monkeypatch.setitem(compiling.WAYS, "on", {"backend": "aot_eager"})
    choose("auto")
    compiled, compiled_histories, compilations = learn(any_device)
    assert compilations == 3, "the base in training, its frozen trunk, an expert"
    for a, b in zip(plain, compiled, strict=True):
        torch.testing.assert_close(a.state_dict(), b.state_dict(), rtol=1e-3, atol=1e-4)
    for these, those in zip(plain_histories, compiled_histories, strict=True):
        assert [e.loss for e in these] == pytest.approx([e.loss for e in those], rel=1e-3)
    assert learn(any_device, seed=1)[2] == 3 and not counters["graph_break"]
    assert capsys.readouterr().err.count("compiling networks") == (any_device == CPU)


def test_more_networks_than_torch_would_keep_by_itself_and_no_batch_of_another_size() -> None:
    choose("aot_eager")
    forward = forward_on(CPU, 2)
    layers = [nn.Linear(n, 1) for n in range(1, 13)]
    for batch, compiled in ((1, 0), (2, 12), (2, 12), (3, 12)):
        for n, layer in enumerate(layers, 1):
            x = torch.randn(batch, n)
            torch.testing.assert_close(forward(layer, x), layer(x))
        assert counters["stats"]["unique_graphs"] == compiled
    with pytest.raises(RuntimeError):  # a mistake of the network is not taken for one of the compiler
        forward(layers[0], torch.zeros(2, 2))
    assert in_use(CPU) == "aot_eager"


def test_auto_compiles_on_a_gpu_and_long_trainings_on_a_cpu() -> None:
    gpu = torch.device("cuda")
    assert [in_use(CPU), in_use(CPU, LONG - 1), in_use(CPU, LONG), in_use(gpu)] == ["off", "off", "on", "on"]
    assert (described(CPU), described(gpu)) == ("on, from 3000 steps", "on")
    choose("off")
    assert in_use(gpu) == in_use(CPU, LONG) == described(CPU) == "off"


def no_compiler(graph: object, inputs: object) -> None:
    raise OSError("no compiler found")


@pytest.mark.parametrize("fails", ["forward", "backward"])
def test_where_nothing_can_be_compiled_it_is_said_once_and_networks_run(
    fails: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where only the backward, which torch by itself would compile at its first use, cannot be."""
    backend = no_compiler if fails == "forward" else aot_autograd(fw_compiler=nop, bw_compiler=no_compiler)
    monkeypatch.setitem(compiling.WAYS, "on", {"backend": backend})
    choose("on")
    forward, layer, x = forward_on(CPU, 4), nn.Linear(3, 2), torch.randn(4, 3)
    for _ in range(2):
        out = forward(layer, x)
        assert torch.equal(out, layer(x))
        out.sum().backward()
    assert capsys.readouterr().err.count("networks cannot be compiled here (no compiler found); going on without") == 1
