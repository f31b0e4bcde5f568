"""Table 6's study and the exit rules', at the smallest scale, in this process and on the same artifacts."""

from pathlib import Path

import pytest

from repro.study.exhibits.appendix_early_exit import early_exit
from repro.study.exhibits.table6_ensemblers import START, Table6Parameters, table6
from repro.study.pairs import MEAN, PairParameters
from repro.study.results import StudyResult

ASKED = {"experts": "3", "seeds": "0,1", "scale": "smoke"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("table6")


@pytest.fixture(scope="module")
def ensemblers(root: Path) -> StudyResult:
    found = table6(Table6Parameters.check(**ASKED, root=root))
    return found


def test_every_method_is_measured(ensemblers: StudyResult) -> None:
    for method in ("expert", "top-2", "bagging", "bagging-logits", "stacking"):
        for metric in ("top1", "ece", "overconfidence"):
            values = ensemblers.values(metric, method, 3, "tr10-tr10")
            assert len(values) == 2 and ensemblers.values(metric, method, 3, MEAN) == values
    assert ensemblers.values("top1", "backbone", 0, MEAN) == ensemblers.values("top1", "backbone", 0, "tr10")
    # Untrained, stacking is the sum of log-probabilities: the classes of bagged logits, with more confidence.
    logits = ensemblers.values("top1", "bagging-logits", 3, "tr10-tr10")
    assert ensemblers.values("top1", START, 3, "tr10-tr10") == pytest.approx(logits)
    sure = [ensemblers.values("overconfidence", name, 3, "tr10-tr10") for name in (START, "bagging-logits")]
    assert all(start > bagged for start, bagged in zip(*sure, strict=True))
    assert len(ensemblers.values("training-loss", "backbone", 0, "tr10")) == 2


def test_the_diagram_holds_every_image_and_gives_back_the_ece(ensemblers: StudyResult) -> None:
    part = ensemblers.tables["reliability"].where(method="bagging", seed=1)
    counts, sure, right = (part.column(name) for name in ("count", "confidence", "accuracy"))
    assert sum(counts) == 200
    ece = sum(n * abs(a - c) for n, c, a in zip(counts, sure, right, strict=True)) / 2
    assert ece == pytest.approx(ensemblers.values("ece", "bagging", 3, "tr10-tr10")[1], abs=0.05)


def test_exit_rules_lie_between_chance_and_the_oracle(ensemblers: StudyResult, root: Path) -> None:
    exits = early_exit(PairParameters.check(**ASKED, root=root))
    for rule in ("paper", "confidence", "entropy", "margin", "gate", "logistic", "boosting", "chance"):
        for metric in ("area", "half"):
            mine, best = (exits.values(metric, name, 3, "tr10-tr10") for name in (rule, "oracle"))
            assert len(mine) == 2 and all(a <= b + 1e-6 for a, b in zip(mine, best, strict=True))
    assert exits.values("top1", "bagging", 3, "tr10-tr10") == ensemblers.values("top1", "bagging", 3, "tr10-tr10")
    curve = exits.tables["curves"].where(rule="paper", seed=0)
    assert curve.column("macs") == sorted(curve.column("macs"), reverse=True)
