"""The part "Play" of a notebook: turned on hand-worked answers; without a run it shows shapes and what it lacks."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from repro.analysis.outputs import Outputs
from repro.exhibits import open_exhibit
from repro.report.play import AFTER_A_RUN, MixturePlay, names
from repro.study.results import StudyResult
from tests.helpers import apes_and_bats

SURE = 4.0
"""A logit beside 0 for the other of two classes: a probability of 0.98."""


@pytest.fixture
def play() -> MixturePlay:
    """Of a notebook that has run: four images of two classes, two experts, the gate sure of the second for all."""
    found = MixturePlay(open_exhibit("table2_num_experts", {"scale": "smoke", "experts": "1,2"}))
    base = torch.tensor([[SURE, 0], [SURE, 0], [0, 0.1], [0, 0.1]])  # sure of the first two, not of the others
    expert = torch.tensor([[SURE, 0], [SURE, 0], [SURE, 0], [0, SURE]])
    outputs = Outputs(base, torch.tensor([[0.1, 0.9]] * 4), torch.stack([base, expert], 1), torch.tensor([0, 1, 0, 1]))
    found.trained = True
    found.images = apes_and_bats()
    found.study = SimpleNamespace(outputs=lambda _: outputs)
    return found


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stands on the page, and after a change in its place."""
    pages: list[str] = []

    def display(page: Any, **_: object) -> SimpleNamespace:
        pages.append(getattr(page, "data", page))
        return SimpleNamespace(update=lambda page: pages.append(page.data))

    monkeypatch.setattr("IPython.display.display", display)
    return pages


def test_the_images_behind_a_difference(play: MixturePlay) -> None:
    page = play.compare("bagging", "base alone")
    assert "1 images are right by bagging and wrong by base alone, 0 the other way round: +25.00 points" in page
    assert page.count("<img") == 1 and "ape ✗ bat" in page


def test_sure_images_exit_and_the_others_cost_their_expert(play: MixturePlay) -> None:
    page = play.exits(0.1)
    cost = play.models[play.largest].cost
    macs = (cost.base_macs + cost.gate_macs + cost.expert_macs / 2) / 1e6
    assert f"50.0 % of 4 images exit; 0.50 experts and {macs:.2f} M multiply-adds an image; top-1 accuracy 75" in page
    assert "<p>1 exit and are wrong:</p>" in page and "<p>0 run experts and are wrong:</p>" in page
    assert "100.0 % of 4 images exit" in play.exits(0.5, "confidence")  # there a lower τ exits more


def test_a_class_is_shown_with_its_experts(play: MixturePlay) -> None:
    page = play.by_class("bat")
    assert "bat: 2 images" in page and "0 · 2" in page and page.count(": in expert") == 1
    assert "in expert 1" in page and page.count("<img") == 2


def test_a_control_shows_the_result_again(play: MixturePlay, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    controls: dict[str, Any] = {}
    monkeypatch.setattr("repro.report.play.displayed", lambda made: controls.update(made))
    play.turn(lambda tau, rule: f"{rule} at {tau}", tau=[0.1, 0.5], rule=["any-time", "confidence"])
    assert controls["rule"].layout.width == "max-content", "a long name is not cut"
    controls["tau"].value = 0.5
    controls["rule"].value = "confidence"
    assert shown == ["any-time at 0.1", "any-time at 0.5", "confidence at 0.5"]
    shown.clear()
    play.live = False  # in the book
    play.turn(lambda tau: f"at {tau}", tau=[0.1, 0.5])
    assert shown == ["at 0.1"]


def test_without_a_run_there_are_shapes_and_no_images() -> None:
    play = MixturePlay(open_exhibit("table2_num_experts", {"recorded": True}))
    assert {play.exits(0.1), play.compare("bagging", "expert"), play.by_class(play.classes[0])} == {AFTER_A_RUN}
    moe, images, labels = play.batch(3)
    out = moe(images)
    assert out.expert_logits.shape[:2] == (3, 20) and out.gate_probs.shape == (3, 20) and labels.is_meta


def test_models_are_named_by_what_tells_them_apart(made_up: Callable[..., StudyResult]) -> None:
    models = MixturePlay(open_exhibit("table5_per_class", {"scale": "smoke"})).models
    assert list(models) == [
        "routing.level per-sample", "routing.level per-class", "routing.level confusion",
    ]  # fmt: skip
    assert names(list(models.values())[:1]) == ["the model"]
