"""The part "Play" of a notebook: turned on hand-worked answers; without a run it shows shapes and what it lacks."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from repro.analysis.outputs import Outputs
from repro.exhibits import open_exhibit
from repro.report.pictures import EXPERT_COLOURS, expert_tiles
from repro.report.play import AFTER_A_RUN, MixturePlay, names
from repro.report.play_networks import EMBEDDING, NetworksPlay
from tests.helpers import CHOSEN, apes_and_bats

SURE = 4.0
"""A logit beside 0 for the other of two classes: a probability of 0.98."""


@pytest.fixture
def play() -> MixturePlay:
    """Of a notebook that has run: four images of two classes, two experts, the gate sure of the second for all."""
    play = MixturePlay(open_exhibit("table2_num_experts", {"scale": "smoke", "experts": "1,2"}))
    base = torch.tensor([[SURE, 0], [SURE, 0], [0, 0.1], [0, 0.1]])  # sure of the first two, not of the others
    expert = torch.tensor([[SURE, 0], [SURE, 0], [SURE, 0], [0, SURE]])
    outputs = Outputs(base, torch.tensor([[0.1, 0.9]] * 4), torch.stack([base, expert], 1), torch.tensor([0, 1, 0, 1]))
    play.trained, play.images = True, apes_and_bats()
    play.study = SimpleNamespace(outputs=lambda _: outputs)
    return play


def test_differences_exits_and_classes_are_shown_with_their_images(play: MixturePlay) -> None:
    page = play.compare("bagging", "base alone")
    assert "1 images are right by bagging and wrong by base alone, 0 the other way round: +25.00 points" in page
    assert page.count("<img") == 1 and "ape ✗ bat" in page
    page = play.exits(0.1)  # sure images exit, and the others cost their expert
    cost = play.models[play.largest].cost
    macs = (cost.base_macs + cost.gate_macs + cost.expert_macs / 2) / 1e6
    assert f"50.0 % of 4 images exit; 0.50 experts and {macs:.2f} M multiply-adds an image; top-1 accuracy 75" in page
    assert "<p>1 exit and are wrong:</p>" in page and "<p>0 run experts and are wrong:</p>" in page
    assert "100.0 % of 4 images exit" in play.exits(0.5, "confidence")  # there a lower τ exits more
    page = play.by_class("bat")
    assert "bat: 2 images" in page and "0 · 2" in page and page.count(": in expert") == 1
    assert "in expert 1" in page and page.count("<img") == 2


def test_a_control_shows_the_result_again(play: MixturePlay, monkeypatch: pytest.MonkeyPatch) -> None:
    controls: dict[str, Any] = {}
    pages: list[str] = []  # what stands on the page, and after a change in its place

    def display(page: Any, **_: object) -> SimpleNamespace:
        pages.append(getattr(page, "data", page))
        return SimpleNamespace(update=lambda page: pages.append(page.data))

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("repro.report.play.displayed", lambda made: controls.update(made))
    play.turn(lambda tau, rule: f"{rule} at {tau}", tau=[0.1, 0.5], rule=["any-time", "confidence"])
    assert controls["rule"].layout.width == "max-content", "a long name is not cut"
    controls["tau"].value = 0.5
    controls["rule"].value = "confidence"
    assert pages == ["any-time at 0.1", "any-time at 0.5", "confidence at 0.5"]
    pages.clear()
    play.live = False  # in the book
    play.turn(lambda tau: f"at {tau}", tau=[0.1, 0.5])
    assert pages == ["at 0.1"]


def test_models_are_named_by_what_tells_them_apart() -> None:
    models = MixturePlay(open_exhibit("table5_per_class", {"scale": "smoke"})).models
    assert list(models) == [f"routing.level {level}" for level in ("per-sample", "per-class", "confusion")]
    assert names(list(models.values())[:1]) == ["the model"]


LABELS = torch.tensor([0, 1, 0, 1])


def one_hot(*answers: int) -> torch.Tensor:
    return torch.eye(2)[list(answers)]


def played(exhibit: str, predictions: dict[str, torch.Tensor], **parameters: Any) -> NetworksPlay:
    """Of a notebook that has run: four images of two classes, what each mixture is made to say, and others an ape."""
    play = NetworksPlay(open_exhibit(exhibit, {"scale": "smoke", **parameters}))
    play.trained, play.images = True, apes_and_bats()
    plain = {"logits": one_hot(0, 0, 0, 0), "labels": LABELS}
    each = {name: predictions if name in play.mixtures else plain for name in play.goals}
    play.predictions = lambda model: each[model.removesuffix(EMBEDDING)]  # type: ignore[method-assign]
    return play


def test_the_first_networks_of_a_deepmoe_by_images_classes_and_cost() -> None:
    predictions = {"logits": one_hot(0, 1, 1, 1), "embedding_logits": one_hot(0, 0, 1, 1), "labels": LABELS,
                   "macs": torch.tensor([4e6, 1e6, 3e6, 2e6])}  # fmt: skip
    deepmoe = played("deepmoe_table2_cifar", predictions)
    page = deepmoe.compare(deepmoe.mixture, deepmoe.mixture + EMBEDDING)
    assert "1 images are right by" in page and "0 the other way round: +25.00 points" in page
    assert page.count("<img") == 1 and "bat ✗ ape" in page
    page = deepmoe.by_class("bat")
    assert [page.count(value) for value in ("100.0", "75.0")] == [1, 1]
    assert page.count("<img") == 0  # DeepMoE errs on no bat
    assert deepmoe.by_class("ape").count("<img") == 1  # and takes one ape for a bat
    page = deepmoe.by_cost(deepmoe.mixture)
    assert "1.00 to 4.00 M multiply-adds" in page
    assert "costs least: 1.00 M, top-1 100.0 %" in page and "costs most: 4.00 M, top-1 100.0 %" in page
    assert page.index(">bat<") < page.index(">ape<")


def test_networks_are_those_of_the_first_seed_by_what_tells_them_apart() -> None:
    def named(exhibit: str, **asked: Any) -> NetworksPlay:
        return NetworksPlay(open_exhibit(exhibit, {"scale": "smoke", **asked}))

    one = named("deepmoe_table2_cifar")
    narrow, wide = one.models[2:]
    assert narrow.startswith("tr10 at width") and wide.startswith("tr10 at width") and narrow != wide
    assert one.models[:2] == [one.mixture, one.mixture + EMBEDDING]
    assert one.mixture.startswith("DeepMoE tr10") and "seed" not in one.mixture
    ways = named("deepmoe_table2_cifar", ways=True, seeds="0,1")
    assert len(ways.mixtures) == 3 and any(name.endswith("never frozen") for name in ways.mixtures)
    scan = named("deepmoe_table2_cifar", lam="1,2")
    assert len(scan.mixtures) == 2 and list(scan.specs) == scan.mixtures  # the others were asked about test images
    play = named("sparse_placement", scale="laptop", dataset="cifar100", others="quarter")
    assert [name.partition(", ")[2] for name in play.mixtures] == [
        "last-2 of 8 experts", "every-2 of 8 experts", "last-2 of 4 experts", "last-2 of 16 experts",
        "last-2 of 4 experts, 12500 images", "last-2 of 16 experts, 12500 images",
    ]  # fmt: skip


def test_where_the_tokens_of_a_class_go() -> None:
    experts = torch.cat([CHOSEN, CHOSEN])  # apes go to 0, 0, 1, 1; bats to 0, 1, 1, 1
    play = played("sparse_routing", {"logits": one_hot(0, 1, 0, 1), "experts_0": experts}, experts="8")
    page = play.experts("ape")
    assert "50.0" in page and "37.5" in page and "62.5" in page  # of the class; of all, 3 and 5 of 8 tokens
    assert page.count("<img") == 2 * 2  # two apes, and a map of each


def test_maps_have_a_colour_an_expert() -> None:
    plain, mixed = expert_tiles(np.full((2, 3, 32, 32), 255, np.uint8), [CHOSEN], 64)
    assert plain.shape == mixed.shape == (2, 64, 64, 3) and plain.min() == 255
    top, below = mixed[0, 10, 10].astype(int), mixed[0, 50, 50].astype(int)
    blue, orange = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in EXPERT_COLOURS[:2])
    assert np.abs(top - (0.45 * 255 + 0.55 * blue)).max() < 2 and np.abs(below - (0.45 * 255 + 0.55 * orange)).max() < 2


@pytest.mark.parametrize(
    "exhibit", ["table2_num_experts", "deepmoe_table2_cifar", "sparse_placement", "sparse_routing"]
)
def test_without_a_run_there_are_shapes_and_no_images(exhibit: str, capsys: pytest.CaptureFixture[str]) -> None:
    play = open_exhibit(exhibit, {"recorded": True}).play()
    assert isinstance(play, MixturePlay | NetworksPlay)
    network, images, labels = play.batch(3)
    if isinstance(play, MixturePlay):
        pages = {play.exits(0.1), play.compare("bagging", "expert"), play.by_class(play.classes[0])}
        out = network(images)
        assert out.expert_logits.shape[:2] == (3, 20) and out.gate_probs.shape == (3, 20) and labels.is_meta
    else:
        first, last = play.models[0], play.models[-1]
        pages = {play.compare(first, last), play.by_class("any class"), play.by_cost(first), play.experts("any class")}
        assert network(images).logits.shape[0] == len(labels) == 3
    assert pages == {AFTER_A_RUN}
    play.shape("images", images, "[B, 3, S, S]")
    assert "[3, 3, 32, 32]" in (printed := capsys.readouterr().out) and "from" not in printed
