"""What is timed side by side gives the same answers, each to its own image, at the multiply-adds that are said."""

import pytest
import torch

from benchmarks import service, token_dispatch
from benchmarks.anytime_wallclock import asked, untrained
from benchmarks.expert_runtimes import INT8, exiting, mixtures, plain_networks
from repro.exhibits.three_families.bodies import Asked
from repro.families.single_gate.scales import default_spec

NUMBER = 8


@pytest.fixture(autouse=True)
def single_precision(fp32: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("expert_runtimes", "service"):
        monkeypatch.setattr(f"benchmarks.{name}.bf16_is_fast", lambda where: False)


@torch.no_grad()
def test_what_is_exported_gives_the_same_answers() -> None:
    spec = asked(quick=True)
    forms, images = mixtures(spec)
    del forms["compiled"]  # seconds to compile
    for goes_on in (0.5, 1.0):
        answers = {name: exiting(moe, images, goes_on)(images[:5]) for name, moe in forms.items()}
        torch.testing.assert_close(answers["ONNX Runtime"], answers["eager"], atol=1e-4, rtol=0.0)
    alone = {name: form(images[:5]) for name, form in plain_networks(spec, images).items()}
    torch.testing.assert_close(alone["ONNX Runtime"], alone["eager"], atol=1e-4, rtol=0.0)
    for each in (answers, alone):
        near = (each[INT8] - each["eager"]).abs().mean() / each["eager"].abs().mean()
        assert near < 0.1


@torch.no_grad()
def test_an_image_alone_is_answered_as_among_others() -> None:
    of = Asked("smoke", default_spec("smoke", "modes").with_(num_experts=3))
    images = next(untrained(of.spec, NUMBER)[1].clean(NUMBER)).images
    served = service.every(of, images)
    for name, one in served.items():
        together = one.answer(slice(0, NUMBER))  # DeepMoE: as many prototypes as images, each the gates of one
        alone = torch.cat([one.answer(slice(i, i + 1)) for i in range(NUMBER)])
        torch.testing.assert_close(alone, together, rtol=1e-3, atol=1e-4, msg=name)
        assert (together - together.roll(1, 0)).abs().amax(1).min() > 1e-3, f"{name}: another image, another answer"
    cost = of.spec.cost
    all_go_on, half = (one.macs[0] for one in list(served.values())[:2])
    assert (all_go_on, half) == (cost.macs, cost.macs - cost.expert_macs / 2)
    for name, one in served.items():
        for macs in one.macs:
            assert macs == pytest.approx(cost.macs, rel=0.2), name
            near = [one.body.cost(of, width)[0] for width in one.body.around(of, macs)]
            assert near[0] * 0.98 <= macs <= near[-1] * 1.02, f"{name}: beside a network of its multiply-adds"


def test_every_image_comes_once() -> None:
    for together in (1, NUMBER):
        came: list[int] = []

        def answer(part: slice, came: list[int] = came) -> torch.Tensor:
            came.extend(range(NUMBER)[part])
            return torch.empty(0)

        service.in_parts(answer, NUMBER, together, torch.device("cpu"))
        assert came == list(range(NUMBER))


@pytest.mark.parametrize("top_k", [1, 2])
def test_every_way_gives_the_same_where_nothing_is_dropped(top_k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_dispatch, "CAPACITY", 8.0)
    task = token_dispatch.Task(128, 32, top_k, torch.float32, torch.device("cpu"))
    expected = task.sorted()
    for way in (task.all, task.slots, task.one_hot):
        torch.testing.assert_close(way(), expected, rtol=1e-4, atol=1e-4)
