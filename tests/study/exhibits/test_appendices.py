"""Specialisation and the EM variant at smoke scale, on one store: what they share is trained once."""

from pathlib import Path

import pytest

from repro.errors import SpecError
from repro.study.exhibits.appendix_em import EMParameters, appendix_em
from repro.study.exhibits.appendix_specialisation import SpecialisationParameters, specialisation
from repro.study.results import StudyResult


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("appendices")


@pytest.fixture(scope="module")
def special(root: Path) -> StudyResult:
    made = specialisation(SpecialisationParameters.check(scale="smoke", experts="2,3", root=root, device="cpu"))
    return made


@pytest.fixture(scope="module")
def em(root: Path, special: StudyResult) -> StudyResult:
    made = appendix_em(EMParameters.check(scale="smoke", experts=2, em_steps="1,0", root=root, device="cpu"))
    return made


def test_every_image_is_counted_once(special: StudyResult) -> None:
    for k in (2, 3):
        table = special.tables[f"classes-{k}"]
        rows = [row[1:] for row in table.rows]
        assert len(rows) == 20 and sum(map(sum, rows)) == 400  # type: ignore[arg-type]
        smallest = min(sum(column) for column in zip(*rows, strict=True)) / 4  # type: ignore[arg-type]
        assert special.values("smallest_share", "least-loss", k) == [smallest]


def test_likeness_of_the_two_numbers_of_experts_has_its_chance(special: StudyResult) -> None:
    assert len(special.values("likeness", "least-loss", 3, "2-3")) == 1
    assert len(special.values("likeness", "chance", 3, "2-3")) == 1
    assert special.rows() == ["", "training", "evaluation", "2-3"]  # one seed has no other to be compared with


def test_without_an_e_step_it_is_algorithm_1(em: StudyResult, root: Path) -> None:
    gain = em.values("top1_gain", "bagging", 2, "em-0")
    assert gain == [0.0] and em.values("moved", "E-step", 2, "em-0") == []
    specs = EMParameters.check(scale="smoke", experts=2, em_steps="0,1", root=root).specs()
    assert specs[0] == SpecialisationParameters.check(scale="smoke", experts="2,3", root=root).specs()[0]
    # of 2 experts: Algorithm 1 (shared with the other exhibit), after the E-step, trained longer; and the other's 3
    assert len(list((root / "store" / "expert").glob("*"))) == 2 + 2 + 2 + 3
    assert len(list((root / "store" / "losses").glob("*"))) == 2


def test_training_costs_more_with_every_round(em: StudyResult) -> None:
    (first,), (one,), (longer,) = (em.values("tera-macs", "training", 2, row) for row in ("em-0", "em-1", "long-1"))
    assert first < longer < one
    (gain,), (before,), (after,) = (
        em.values("top1_gain", "expert", 2, "em-1"),
        em.values("top1", "expert", 2, "em-0"),
        em.values("top1", "expert", 2, "em-1"),
    )
    assert gain == pytest.approx(after - before)
    assert "em_steps" not in em.spec and em.provenance.command.endswith("-p em_steps 0,1 -p experts 2")


@pytest.mark.parametrize(
    ("parameters", "asked", "sentence"),
    [
        (EMParameters, {"em_steps": "1,2"}, "em_steps: .*should begin with 0"),
        (EMParameters, {"experts": 1}, "experts: "),
        (SpecialisationParameters, {"experts": "1,5"}, "experts: .*two or more"),
    ],
)
def test_what_makes_no_sense_is_said(
    parameters: type[EMParameters | SpecialisationParameters], asked: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SpecError, match=sentence):
        parameters.check(scale="smoke", **asked)
