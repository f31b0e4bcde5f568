"""Figure 3 shown: a class over its experts, the classes that share them, and whether the split is real."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from repro.report.claim import Cell, Claim
from repro.report.class_figures import class_of, pictures, ranked, split
from repro.report.exhibits.exhibit import Exhibit
from repro.report.numbers import interval, mean_std
from repro.report.plots import figure_style
from repro.report.reading import verdicts
from repro.report.tables import Columns, Shown, about, frame, means
from repro.report.verdict import by_seed, difference, summary_of
from repro.study.exhibits.figure3_king_penguin import NAME, Figure3Parameters, figure3
from repro.study.results import StudyResult

PAPER_EXPERTS = 20
SECTION = "4, Figure 3"
RANKS_SHOWN = 10


def _cell(metric: str, method: str, num_experts: int = PAPER_EXPERTS) -> Cell:
    return Cell(num_experts, method, metric=metric)


CLAIMS = (
    Claim(
        "P1",
        "Images of a class that share an expert look alike (% of pixel variance that the split explains, above chance)",
        _cell("pixels", "classes"), _cell("pixels", "classes by chance"), section=SECTION,
    ),
    Claim(
        "P2",
        "The split is in the images, not an accident of one network: another base splits classes alike (AMI, %)",
        _cell("agreement", "classes"), section=SECTION,
    ),
    Claim(
        "P3",
        "The groups found are the true modes (AMI of expert and mode within a class, %)",
        _cell("modes", "classes"), datasets=("modes",), section=SECTION,
    ),
    Claim(
        "P4",
        "An image shares its expert with the classes that it is confused with (% of such a class, above chance)",
        _cell("confused", "expert"), _cell("confused", "chance"), section=SECTION,
    ),
)  # fmt: skip
"""What Section 4 says of one class in pictures, as numbers over all classes (AMI: adjusted mutual information)."""

MEASURED = (
    ("effective", "class", "experts that {name} effectively splits over"),
    ("effective", "classes", "experts that the mean class effectively splits over"),
    ("pixels", "class", "{name}: pixel variance between its experts, %"),
    ("pixels", "class by chance", "{name}: the same, images dealt at random, %"),
    ("pixels", "classes", "mean class: pixel variance between its experts, %"),
    ("pixels", "classes by chance", "mean class: the same, images dealt at random, %"),
    ("agreement", "class", "{name}: agreement of two seeds' splits (AMI, %)"),
    ("agreement", "classes", "mean class: agreement of two seeds' splits (AMI, %)"),
    ("modes", "class", "{name}: agreement with the true modes (AMI, %)"),
    ("modes", "classes", "mean class: agreement with the true modes (AMI, %)"),
    ("confused", "expert", "classes taken for the image's: their share in its expert, %"),
    ("confused", "chance", "the same, for a random image of its class, %"),
)
"""Metric, method and words of the rows of the main table."""


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: how split, and how real; ``experts``: the class's experts; ``ranking``: all classes by how split."""
    shown = {"main": _main(result)}
    if "experts" in result.tables:
        shown["experts"] = _experts(result)
    if "ranking" in result.tables:
        shown["ranking"] = _ranking(result)
    return shown


def _main(result: StudyResult) -> Shown:
    numbers = result.numbers_of_experts()
    rows = [row for row in MEASURED if any(by_seed(result, _cell(row[0], row[1], k)) for k in numbers)]
    columns: Columns = {
        f"K = {k}": means(result, [_cell(metric, method, k) for metric, method, _ in rows]) for k in numbers
    }
    caption = (
        f"{about(result)}, mean ± standard deviation. Splits of the training images by the initial gate; the paper "
        "shows pictures and prints no number. 'effectively': the exponential of the entropy of a class's shares. AMI: "
        "adjusted mutual information, 0 by chance, 100 for the same split."
    )
    return Shown(frame(columns, [words.format(name=class_of(result)) for *_, words in rows]), caption)


def _experts(result: StudyResult) -> Shown:
    k = max(result.tables["experts"].column("experts"))
    table = result.tables["experts"].where(experts=k)
    columns: Columns = {
        "% of the class": [f"{share:.1f}" for share in table.column("share")],
        "images": [str(number) for number in table.column("images")],
        "shared with (images)": [str(text) or "nobody" for text in table.column("shared with")],
    }
    if any(table.column("modes")):
        columns["its true modes (images)"] = [str(text) for text in table.column("modes")]
    labels = [
        f"seed {seed}: expert {expert}"
        for seed, expert in zip(table.column("seed"), table.column("expert"), strict=True)
    ]
    caption = (
        f"{about(result, models=False)}; the experts of {k} that have at least 5 % of {class_of(result)}, and the "
        "classes with most training images in each. Experts of different seeds have nothing in common but their number."
    )
    return Shown(frame(columns, labels), caption)


def _ranking(result: StudyResult) -> Shown:
    k = max(result.tables["ranking"].column("experts"))
    names, effective, largest = ranked(result, k)
    own = next((rank for rank, name in enumerate(names) if name == class_of(result)), None)
    last = max(RANKS_SHOWN, len(names) - RANKS_SHOWN // 2)
    ranks = sorted(
        {*range(min(RANKS_SHOWN, len(names))), *range(last, len(names)), *([own] if own is not None else [])}
    )
    columns: Columns = {
        "class": [names[rank] for rank in ranks],
        "effective experts": [f"{effective[rank]:.2f}" for rank in ranks],
        "largest share, %": [f"{largest[rank]:.1f}" for rank in ranks],
    }
    caption = (
        f"{about(result, models=False)}: all {len(names)} classes by how split they are over {k} experts (means over "
        f"the seeds): the first {RANKS_SHOWN}, {class_of(result)}, and the last."
    )
    return Shown(frame(columns, [str(rank + 1) for rank in ranks]), caption)


def read(result: StudyResult) -> str:
    """The numbers in sentences."""
    k = max(result.numbers_of_experts(), default=PAPER_EXPERTS)
    own, mean = (summary_of(result, _cell("effective", method, k)) for method in ("class", "classes"))
    sentences = []
    if own and mean:
        name = class_of(result)
        sentences.append(
            f"With {k} experts {name} effectively splits over {mean_std(own, 1)} of them, "
            f"the mean class over {mean_std(mean, 1)}."
        )
    if gap := difference(result, _cell("pixels", "classes", k), _cell("pixels", "classes by chance", k)):
        span = f" (95 % interval {interval(gap, 1, sign=True)})" if gap.interval else ""
        sentences.append(
            f"The split explains {gap.mean:.1f} points more of a class's pixel variance than chance{span}."
        )
    for metric, words in (
        ("agreement", "Two bases' splits of a class"),
        ("modes", "Experts and true modes of a class"),
    ):
        if found := summary_of(result, _cell(metric, "classes", k)):
            sentences.append(f"{words} agree to {mean_std(found, 1)} % (adjusted mutual information; 0 by chance).")
    mistaken, chance = (summary_of(result, _cell("confused", method, k)) for method in ("expert", "chance"))
    if mistaken and chance:
        sentences.append(
            f"Where the base is wrong, the image's own expert has {mean_std(mistaken, 1)} % of the class that it is "
            f"taken for; the expert of another image of its class would have {mean_std(chance, 1)} %."
        )
    return " ".join([*sentences, verdicts(result, EXHIBIT.judge(result))])


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``main``: images of the class, expert by expert, and who shares it; ``split``: how split all classes are."""
    with figure_style():
        return {"main": pictures(results), "split": split(results)}


EXHIBIT = Exhibit(
    name=NAME,
    title="Figure 3: a class over its experts",
    parameters=Figure3Parameters,
    study=figure3,
    tables=tables,
    read=read,
    claims=CLAIMS,
    figures=figures,
)
