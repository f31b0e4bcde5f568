"""The routing exhibit: run at smoke scale; its numbers and claims on made-up records; our shifts of images."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.data.dataset import ImageDataset
from repro.errors import SpecError
from repro.exhibits import open_exhibit
from repro.exhibits.sparse_placement.run import Parameters as Placement
from repro.exhibits.sparse_routing import EXHIBIT
from repro.exhibits.sparse_routing.run import SHIFT, Parameters, cell, elsewhere, inspected, mixture_names
from repro.exhibits.sparse_routing.shifts import KINDS, STRENGTHS, shifted
from repro.families.sparse.cost import sparse_cost
from repro.report.play_networks import NetworksPlay
from repro.report.tables import claims_table
from repro.study.results import load_results
from tests.conftest import write_pictures
from tests.exhibits.conftest import Smoke
from tests.helpers import CHOSEN
from tests.records import RecordOf, judged


def test_a_run_measures_shows_and_is_played_with_and_a_vit_stands_beside_the_convnext(
    smoke: Smoke, smoke_root: Path
) -> None:
    specs, placement = Parameters.check(scale="smoke").networks(), Placement.check(scale="smoke")
    assert {*specs} <= {placement.spec(row, 0) for row in placement.rows}, "what that trains is not trained again"
    result = smoke(EXHIBIT)
    (experts,), (share,) = (result.values(of, "sparse", 8, "convnext last-2, first") for of in ("experts", "share"))
    assert 1 <= experts <= 8 and share == pytest.approx(12.5 * experts, abs=0.01)
    under = [m.value for m in result.measurements if m.row.startswith("convnext none, ") and SHIFT not in m.row]
    assert len(under) == 20
    assert result.values("top1", "dense", 0, f"convnext none, {SHIFT}") == [pytest.approx(sum(under) / 20, abs=1e-3)]
    first = result.tables["occurrence"].where(mixture="first")
    assert len(first.rows) == 20 and sum(sum(row[2:]) for row in first.rows) == 100 * 64  # type: ignore[arg-type, misc]
    assert result.pictures["maps"].count == 18
    tables = EXHIBIT.tables(result)
    assert tables["main"].frame["experts an image, paper"].tolist() == ["6", "6"]
    assert list(tables["shifts"].frame.index) == ["dense", "last-2, 8 experts"]
    assert set(EXHIBIT.drawn([result])) == {"main", "maps", "shifts"}

    chapter = open_exhibit("sparse_routing", {"scale": "smoke", "device": "cpu", "root": str(smoke_root)})
    chapter.run()
    play = chapter.play()
    assert isinstance(play, NetworksPlay)
    page = play.experts(play.classes[0])
    assert page.count("<img") == 3 * 5 and "mixture 2" in page  # five images of the class, two mixtures
    network, images, labels = play.batch(4)
    answers = play.scores(play.mixture)[:4]
    assert torch.allclose(network(images).logits, answers, atol=0.05) and labels.tolist() == [0, 1, 2, 3]

    vit = smoke(EXHIBIT, network="vit-micro")
    names = ["sparse_routing-modes-smoke", "sparse_routing-modes-smoke-vit-micro"]
    assert [result.name, vit.name] == names == list(load_results(smoke_root / "results", "sparse_routing"))
    assert "vit-micro, " in EXHIBIT.tables(vit)["main"].caption
    assert {*judged(EXHIBIT, vit)} == {"V7/vit", "V8/vit", "V10/vit"}


def test_a_network_of_imagenet_is_asked_about_the_other_sets_that_are_laid_out(tmp_path: Path) -> None:
    """Three classes; -V2 by number, -R of two of them: among these alone an answer is sought."""
    write_pictures(tmp_path / "imagenet", {"train": 4, "val": 2}, (80, 72))
    for folder, names in (("imagenet-v2", {"0": "apple", "1": "leaf", "2": "sky"}), ("imagenet-r", {"sky": "sky"})):
        for name, of in names.items():
            shutil.copytree(tmp_path / "imagenet" / "val" / of, tmp_path / folder / name)
    parameters = Parameters.check(scale="smoke", dataset="imagenet", root=tmp_path)
    (result,) = EXHIBIT.run(parameters)
    (v2,), (clean,), (r,) = (
        result.values("top1", "dense", 0, f"convnext none{more}") for more in (", ImageNet-V2", "", ", ImageNet-R")
    )
    assert r == 100, "of one class there is no other"
    assert {round(each / 100 * 6, 4) % 1 for each in (v2, clean)} == {0.0} and v2 >= clean, "fewer classes to choose of"
    shifts = EXHIBIT.tables(result)["shifts"]
    assert list(shifts.frame.columns)[-2:] == ["ImageNet-V2", "ImageNet-R"]
    assert shifts.caption.endswith("stand in for ImageNet-A, Sketch: not run.")
    keys = {name: step.key for name, step in elsewhere(parameters.networks()[0], tmp_path).items()}
    (tmp_path / "imagenet-r" / "sky" / "001.png").unlink()
    again = {name: step.key for name, step in elsewhere(parameters.networks()[0], tmp_path).items()}
    assert [again[name] == keys[name] for name in keys] == [True, False], "other images, another artifact"


def test_the_papers_network_on_imagenet_is_a_scale() -> None:
    asked = {"scale": "paper", "dataset": "imagenet", "network": "convnext-s-iso"}
    dense, sparse = Parameters.check(**asked).networks()
    assert (sparse.recipe.epochs, sparse.model.drop_path, sparse.model.width, sparse.image_size) == (300, 0.1, 1, 224)
    assert dense.recipe == sparse.recipe and sparse_cost(sparse.model).params == pytest.approx(38.9e6, rel=0.01)


def test_tables_of_two_images() -> None:
    """By hand: image 0 (class 0) has two tokens at each expert; image 1 (class 1) one and three."""
    tables = inspected([CHOSEN], torch.tensor([0, 1]), 3, 2)
    assert tables["occurrence"].rows == [["first", 0, 2, 2, 0], ["first", 1, 1, 3, 0]]
    assert tables["similarity"].rows[0] == ["first", 0, 1.0, 0.75, 0.0]  # 2 (2 + 1) / (3 + 5)
    assert tables["similarity"].rows[2] == ["first", 2, 0.0, 0.0, None]  # nobody's
    assert tables["patches"].where(tokens=1).rows == [["first", 1, 0.5, 0.0, None]]
    assert tables["patches"].where(tokens=3).rows == [["first", 3, 1.0, 1.0, None]]
    assert [mixture_names(n) for n in (1, 2, 3)] == [["first"], ["first", "last"], ["first", "mixture 2", "last"]]


def test_claims_and_the_papers_numbers(record_of: RecordOf) -> None:
    last_2 = {
        cell("convnext", "last-2", "first", "share", 32): [50.0, 50.1, 50.2],
        cell("convnext", "last-2", "first", "information"): [0.1, 0.1, 0.11],
        cell("convnext", "last-2", "last", "information"): [0.05, 0.05, 0.05],
        cell("convnext", "last-2", SHIFT): [41.0, 41.2, 41.1],
        cell("convnext", "none", SHIFT): [40.0, 40.1, 40.3],
    }
    claims = claims_table(EXHIBIT.judge(record_of("sparse_routing", last_2)))
    assert list(claims.loc["V6/convnext", ["ours", "paper", "verdict"]]) == ["50.10 (bar: 40 to 60)", "49.38", "holds"]
    assert list(claims.loc[["V7/convnext", "V8/vit"], "verdict"]) == ["opposite", "not run"]
    assert "V8/convnext" not in claims.index, "its mixtures have unlike numbers of tokens"
    assert claims.loc["V10/convnext", "ours"] == "+0.97"
    by_chance = {cell("convnext", "last-2", "first", "share", 32): [87.0, 87.1, 86.9]}
    assert str(judged(EXHIBIT, record_of("sparse_routing", by_chance))["V6/convnext"].verdict) == "opposite"


IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
DATA = ImageDataset("any", "test", IMAGES, np.zeros(20, np.int64), ("a",), (0.5,) * 3, (0.2,) * 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stronger_shift_is_further_away_and_always_the_same(kind: str) -> None:
    each = [shifted(DATA, kind, strength) for strength in STRENGTHS]
    away = [float(np.abs(one.images.astype(int) - IMAGES).mean()) for one in each]
    assert away == sorted(away) and 0 < away[0] < away[1]
    again = shifted(DATA, kind, 3)
    assert np.array_equal(again.images, each[2].images) and again.images.dtype == np.uint8
    assert again.labels is DATA.labels and len(np.unique(each[4].images)) > 1


def test_each_shift_does_what_it_is_called() -> None:
    black, grey = (replace(DATA, images=np.full_like(IMAGES, value)) for value in (0, 128))
    occluded = shifted(black, "occlusion", 2).images
    assert (occluded == 128).sum((1, 2, 3)).tolist() == [3 * 8 * 8] * 20
    assert shifted(DATA, "contrast", 3).images.std() == pytest.approx(IMAGES.std() / 2, rel=0.02)
    assert shifted(grey, "noise", 2).images.std() == pytest.approx(20, rel=0.02)
    assert np.array_equal(shifted(grey, "blur", 5).images, grey.images)
    for kind, strength in (("fog", 1), ("noise", 6)):
        with pytest.raises(SpecError, match="choose of noise, blur, contrast, occlusion, and 1 to 5"):
            shifted(DATA, kind, strength)
