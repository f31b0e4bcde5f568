"""Table 5 shown: the paper's row beside both of ours, verdicts, pictures; with one seed and with parts missing."""

from collections.abc import Callable

import pytest

from repro.report.exhibits import exhibit
from repro.report.tables import claims_table
from repro.study.results import StudyResult

MakeOf = Callable[..., StudyResult]
TABLE5 = exhibit("table5_per_class")
SEEDS = 3


def cells(seeds: int = SEEDS, modes: bool = False) -> dict[tuple[str, str, int, str], list[float]]:
    def about(value: float) -> list[float]:
        return [round(value + 0.1 * seed, 4) for seed in range(seeds)]

    made = {
        ("top1", "backbone", 0, ""): about(30),
        ("top1", "expert", 10, "per-sample"): about(34),
        ("top1", "bagging", 10, "per-sample"): about(36),
    }
    for level in ("per-class", "confusion"):
        made |= {
            ("top1", "expert", 10, level): about(32),
            ("top1", "bagging", 10, level): about(35),
            ("top1", "expert", 10, f"{level}-oracle"): about(45),
            ("top1", "bagging", 10, f"{level}-oracle"): about(44),
            ("top1", "backbone", 10, f"{level}-oracle"): about(42),
            ("routing", "gate", 10, level): about(60),
            ("routing", "backbone", 10, level): about(61),
        }
        for metric, value in (("top1-right", 50.0), ("top1-wrong", 2.0)):
            for method in ("backbone", "expert", "bagging"):
                made[metric, method, 10, level] = about(value)
            for method in ("expert", "bagging"):
                made[metric, method, 10, f"{level}-oracle"] = about(value + 20)
    if modes:
        for row in ("per-sample", "per-class", "confusion", "per-class-oracle", "confusion-oracle"):
            for metric in ("ami", "ami-within"):
                value = 0.0 if "oracle" in row else 0.5
                made[metric, "gate", 10, row] = [value] * seeds
                made[metric, "chance", 10, row] = [0.04] * seeds
    return made


@pytest.fixture
def result(made_of: MakeOf) -> StudyResult:
    return made_of("table5_per_class", cells())


def test_the_printed_row_stands_beside_both_groupings(result: StudyResult) -> None:
    table = TABLE5.tables(result)["main"].frame
    assert table.loc["per-sample, with bagging", "paper"] == "65.72 ± 0.10"
    for label in ("class means + oracle", "confusion + oracle"):
        assert table.loc[f"{label}, expert alone", "paper"] == "68.80 ± 0.10"
    assert table.loc["per-class, class means, expert alone", "ours"] == "32.10 ± 0.10"
    assert table.loc["base model", "paper"] == "–"


def test_another_image_set_has_the_papers_column_with_its_name(made_of: MakeOf) -> None:
    table = TABLE5.tables(made_of("table5_per_class", cells(), "cifar100"))["main"].frame
    assert table.loc["per-sample, expert alone", "paper, tiny-ImageNet"] == "63.11 ± 0.11"
    assert table.loc["per-sample, expert alone", "verdict"] == "not in the paper"


def test_claims_are_differences_on_the_same_seeds(result: StudyResult) -> None:
    claims = claims_table(TABLE5.judge(result))
    assert (claims.loc["C5/per-class/without", "ours"], claims.loc["C5/per-class/without", "paper"]) == (
        "+2.00",
        "+0.63",
    )
    assert claims.loc["C5/oracle/without", "ours"] == "+13.00" and claims.loc["C5/oracle/without", "verdict"] == "holds"
    assert claims.loc["C5/wrong-ensembled", "verdict"] == "undecided"
    assert claims.loc["C5/wrong", "verdict"] == "undecided (settled afterwards)"
    assert claims.loc["C5/oracle-alone", "paper"] == "+0.81"


def test_routing_is_split_into_right_and_wrong(result: StudyResult) -> None:
    table = TABLE5.tables(result)["routing"].frame
    row = table.loc["per-class, class means: wrongly routed"]
    assert (row["% of images"], row["expert"], row["right expert"]) == ("39.9", "2.10 ± 0.10", "22.10 ± 0.10")


def test_modes_are_shown_where_they_are_known(made_of: MakeOf, result: StudyResult) -> None:
    assert "modes" not in TABLE5.tables(result)
    modes = made_of("table5_per_class", cells(modes=True), "modes", "quick")
    table = TABLE5.tables(modes)["modes"].frame
    assert table.loc["per-sample", "modes within a class"] == "0.50 ± 0.00"
    assert "adjusted mutual information of 0.50" in TABLE5.read(modes)


def test_the_reading_names_the_control(result: StudyResult) -> None:
    text = TABLE5.read(result)
    assert "told the same group of classes, reaches 42.10 ± 0.10 %" in text and "60.1 ± 0.1 % of the images" in text


@pytest.mark.parametrize(("seeds", "missing"), [(1, "nothing"), (3, "confusion"), (3, "everything")])
def test_one_seed_and_missing_parts(made_of: MakeOf, seeds: int, missing: str) -> None:
    kept = {key: value for key, value in cells(seeds).items() if missing not in key[3] and missing != "everything"}
    partial = made_of("table5_per_class", kept)
    for shown in TABLE5.tables(partial).values():
        assert "nan" not in shown.in_page()
    TABLE5.read(partial)
    modes = made_of("table5_per_class", cells(seeds, modes=True), "modes", "quick")
    for figure in TABLE5.figures([partial, modes]).values():
        figure.canvas.draw()
