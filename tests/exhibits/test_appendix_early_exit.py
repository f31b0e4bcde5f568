"""The exit rules, shown: of a made-up result, of one seed, and of nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.exhibits.appendix_early_exit import EXHIBIT, LABELS, run
from repro.families.single_gate.pairs import MEAN, PairParameters
from repro.study.results import Measurement, StudyResult, Table

MakeUp = Callable[..., StudyResult]
PAIR = "tr10-tr10"
ASKED = {"experts": "3", "seeds": "0,1", "scale": "smoke"}


def of_exits(made_up: MakeUp, seeds: int, dataset: str = "cifar100") -> StudyResult:
    levels = {rule: 60.0 - 0.1 * i for i, rule in enumerate(LABELS)}
    lines = [
        Measurement(seed=seed, num_experts=20, method=rule, metric=metric, value=value + 0.2 * seed, row=row)
        for rule, value in {**levels, "bagging": 60.0}.items()
        for metric in (("top1",) if rule == "bagging" else ("area", "half"))
        for row in (PAIR, MEAN)
        for seed in range(seeds)
    ]
    rows = [
        [PAIR, 20, rule, seed, share, 2_000_000 - 500_000 * share, value - share]
        for rule, value in levels.items()
        for seed in range(seeds)
        for share in (0, 0.5, 1)
    ]
    table = Table(columns=["pair", "K", "rule", "seed", "share", "macs", "top1"], rows=rows)
    changes = {"study": EXHIBIT.name, "measurements": lines, "tables": {"curves": table}}
    return made_up({("backbone", 0): [1.0] * seeds}, dataset=dataset, model="tr10").model_copy(update=changes)


def test_every_rule_stands_against_the_papers(made_up: MakeUp) -> None:
    main = EXHIBIT.tables(of_exits(made_up, 3))["main"].frame
    row = main.loc["tr10-tr10, 20 experts: learned: logistic regression"]
    assert (row["against the paper's rule"], row["95 % interval"]) == ("−0.50", "−0.50 to −0.50")
    assert len(main) == len(LABELS)


def test_claims_and_reading(made_up: MakeUp) -> None:
    result = of_exits(made_up, 3)
    judged = {j.claim.key: str(j.verdict) for j in EXHIBIT.judge(result)}
    assert (judged["X1"], judged["X2/boosting"], judged["X3"]) == ("holds", "holds", "holds")
    assert {j.claim.key: str(j.verdict) for j in EXHIBIT.judge(result)}["X1"] == "holds"


@pytest.mark.parametrize("dataset", ["cifar100", "modes"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_figures_of_one_seed_and_of_any_image_set(made_up: MakeUp, seeds: int, dataset: str) -> None:
    result = of_exits(made_up, seeds, dataset)
    assert EXHIBIT.figures([result])["main"]
    assert ("one seed: an anecdote" in {str(j.verdict) for j in EXHIBIT.judge(result)}) == (seeds == 1)


def test_a_result_with_parts_missing(made_up: MakeUp) -> None:
    bare = made_up({("backbone", 0): [50.0]}).model_copy(update={"study": EXHIBIT.name})
    assert EXHIBIT.tables(bare)["main"].frame.empty and EXHIBIT.figures([bare])
    assert all(str(judged.verdict) == "not run" for judged in EXHIBIT.judge(bare))


def test_exit_rules_lie_between_chance_and_the_oracle(smoke_root: Path) -> None:
    exits = run(PairParameters.check(**ASKED, root=smoke_root))
    for rule in ("paper", "confidence", "entropy", "margin", "gate", "logistic", "boosting", "chance"):
        for metric in ("area", "half"):
            mine, best = (exits.values(metric, name, 3, "tr10-tr10") for name in (rule, "oracle"))
            assert len(mine) == 2 and all(a <= b + 1e-6 for a, b in zip(mine, best, strict=True))
    curve = exits.tables["curves"].where(rule="paper", seed=0)
    assert curve.column("macs") == sorted(curve.column("macs"), reverse=True)
