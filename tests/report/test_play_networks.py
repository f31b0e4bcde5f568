"""The part "Play" of networks of any family: on hand-worked answers; without a run shapes alone."""

from typing import Any

import numpy as np
import pytest
import torch

from repro.exhibits import open_exhibit
from repro.report.pictures import EXPERT_COLOURS, expert_tiles
from repro.report.play import AFTER_A_RUN
from repro.report.play_networks import EMBEDDING, NetworksPlay
from tests.helpers import CHOSEN, apes_and_bats

LABELS = torch.tensor([0, 1, 0, 1])


def one_hot(*answers: int) -> torch.Tensor:
    return torch.eye(2)[list(answers)]


def played(exhibit: str, predictions: dict[str, dict[str, torch.Tensor]], **parameters: Any) -> NetworksPlay:
    """Of a notebook that has run: four images of two classes, and what each network is made to say of them."""
    play = NetworksPlay(open_exhibit(exhibit, {"scale": "smoke", **parameters}))
    play.trained = True
    play.images = apes_and_bats()
    play.predictions = lambda model: predictions.get(model.removesuffix(EMBEDDING), {})  # type: ignore[method-assign]
    return play


@pytest.fixture
def deepmoe() -> NetworksPlay:
    play = NetworksPlay(open_exhibit("deepmoe_table2_cifar", {"scale": "smoke"}))
    said = {"logits": one_hot(0, 1, 1, 1), "embedding_logits": one_hot(0, 0, 1, 1), "labels": LABELS,
            "macs": torch.tensor([4e6, 1e6, 3e6, 2e6])}  # fmt: skip
    plain = {"logits": one_hot(0, 0, 0, 0), "labels": LABELS}
    each = {name: said if name in play.mixtures else plain for name in play.goals}
    return played("deepmoe_table2_cifar", each)


def test_every_network_of_the_first_seed_has_a_name(deepmoe: NetworksPlay) -> None:
    narrow, wide = deepmoe.models[2:]
    assert narrow.startswith("tr10 at width") and wide.startswith("tr10 at width") and narrow != wide
    assert deepmoe.models[:2] == [deepmoe.mixture, deepmoe.mixture + EMBEDDING]
    assert deepmoe.mixture.startswith("DeepMoE tr10") and "seed" not in deepmoe.mixture
    ways = NetworksPlay(open_exhibit("deepmoe_table2_cifar", {"scale": "smoke", "ways": True, "seeds": "0,1"}))
    assert len(ways.mixtures) == 3 and any(name.endswith("never frozen") for name in ways.mixtures)


def test_networks_of_a_scan_are_asked_about_its_images() -> None:
    play = NetworksPlay(open_exhibit("deepmoe_table2_cifar", {"scale": "smoke", "lam": "1,2"}))
    assert len(play.mixtures) == 2 and list(play.specs) == play.mixtures  # the others were asked about test images


def test_the_images_that_deepmoe_wins_over_its_own_embedding_network(deepmoe: NetworksPlay) -> None:
    page = deepmoe.compare(deepmoe.mixture, deepmoe.mixture + EMBEDDING)
    assert "1 images are right by" in page and "0 the other way round: +25.00 points" in page
    assert page.count("<img") == 1 and "bat ✗ ape" in page


def test_a_class_in_every_network(deepmoe: NetworksPlay) -> None:
    page = deepmoe.by_class("bat")
    assert [page.count(value) for value in ("100.0", "75.0")] == [1, 1]
    assert page.count("<img") == 0  # DeepMoE errs on no bat
    assert deepmoe.by_class("ape").count("<img") == 1  # and takes one ape for a bat


def test_the_cheapest_and_the_dearest_images(deepmoe: NetworksPlay) -> None:
    page = deepmoe.by_cost(deepmoe.mixture)
    assert "1.00 to 4.00 M multiply-adds" in page
    assert "costs least: 1.00 M, top-1 100.0 %" in page and "costs most: 4.00 M, top-1 100.0 %" in page
    assert page.index(">bat<") < page.index(">ape<")


def test_where_the_tokens_of_a_class_go() -> None:
    found = NetworksPlay(open_exhibit("sparse_routing", {"scale": "smoke", "experts": "8"}))
    experts = torch.cat([CHOSEN, CHOSEN])  # apes go to 0, 0, 1, 1; bats to 0, 1, 1, 1
    play = played("sparse_routing", {found.mixture: {"logits": one_hot(0, 1, 0, 1), "experts_0": experts}})
    page = play.experts("ape")
    assert "50.0" in page and "37.5" in page and "62.5" in page  # of the class; of all, 3 and 5 of 8 tokens
    assert page.count("<img") == 2 * 2  # two apes, and a map of each


def test_networks_of_fewer_images_answer_beside_the_others() -> None:
    asked = {"scale": "laptop", "dataset": "cifar100", "others": "quarter"}
    play = NetworksPlay(open_exhibit("sparse_placement", asked))
    ours = [name.partition(", ")[2] for name in play.mixtures]
    assert ours == [
        "last-2 of 8 experts", "every-2 of 8 experts", "last-2 of 4 experts", "last-2 of 16 experts",
        "last-2 of 4 experts, 12500 images", "last-2 of 16 experts, 12500 images",
    ]  # fmt: skip


def test_maps_have_a_colour_an_expert() -> None:
    plain, mixed = expert_tiles(np.full((2, 3, 32, 32), 255, np.uint8), [CHOSEN], 64)
    assert plain.shape == mixed.shape == (2, 64, 64, 3) and plain.min() == 255
    top, below = mixed[0, 10, 10].astype(int), mixed[0, 50, 50].astype(int)
    blue, orange = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in EXPERT_COLOURS[:2])
    assert np.abs(top - (0.45 * 255 + 0.55 * blue)).max() < 2 and np.abs(below - (0.45 * 255 + 0.55 * orange)).max() < 2


@pytest.mark.parametrize("exhibit", ["deepmoe_table2_cifar", "sparse_placement", "sparse_routing"])
def test_without_a_run_there_are_shapes_and_no_images(exhibit: str, capsys: pytest.CaptureFixture[str]) -> None:
    play = open_exhibit(exhibit, {"recorded": True}).play()
    assert isinstance(play, NetworksPlay)
    first, last = play.models[0], play.models[-1]
    pages = {play.compare(first, last), play.by_class("any class"), play.by_cost(first), play.experts("any class")}
    assert pages == {AFTER_A_RUN}
    network, images, labels = play.batch(3)
    assert network(images).logits.shape[0] == len(labels) == 3
    play.shape("images", images, "[B, 3, S, S]")
    assert "[3, 3, 32, 32]" in (printed := capsys.readouterr().out) and "from" not in printed
