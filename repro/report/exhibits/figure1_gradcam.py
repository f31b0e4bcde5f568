"""Figure 1's pictures, shown: Grad-CAM of base, selected expert and other experts, and how focused the maps are."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from repro.method.gradcam import TARGETS
from repro.report.cam_figures import METRICS, OWN, TRUE, largest, numbers, pictures
from repro.report.claim import Cell, Claim
from repro.report.exhibits.exhibit import Exhibit
from repro.report.numbers import NONE, interval, mean_std, signed
from repro.report.plots import figure_style
from repro.report.reading import verdicts
from repro.report.tables import Columns, Shown, about, frame, means
from repro.report.verdict import difference, summary_of
from repro.study.exhibits.figure1_gradcam import NAME, Figure1Parameters, figure1
from repro.study.results import StudyResult

PAPER_EXPERTS = 20
BOXED = ("tiny-imagenet", "modes")
SECTION = "2.2, Figure 1"
VISIBLE = 63.8
"""Percent of pairs that a difference must win to be "visible to the naked eye of a careful observer": Cohen's medium
effect (d = 0.5; Psychological Bulletin 112, 1992), whose common-language size is Φ(d / √2)."""


def _cell(method: str, metric: str, row: str = TRUE, num_experts: int = PAPER_EXPERTS) -> Cell:
    return Cell(0 if method in ("backbone", "uniform", "centre") else num_experts, method, row, metric)


def _claim(
    key: str, text: str, metric: str, more: str, less: str, row: str = TRUE, datasets: tuple[str, ...] = ()
) -> Claim:
    return Claim(key, text, _cell(more, metric, row), _cell(less, metric, row), datasets=datasets, section=SECTION)


CLAIMS = (
    _claim(
        "G1",
        "The selected expert attends to finer details than the base (spread of its map, % of the image)",
        "spread", "backbone", "expert",
    ),
    _claim(
        "G2",
        "Non-selected experts' maps are less focused than the selected one's (spread, % of the image)",
        "spread", "others", "expert",
    ),
    _claim(
        "G2/own",
        "Non-selected experts' maps of their own predictions are less focused than the selected one's (spread, %)",
        "spread", "others", "expert", OWN,
    ),
    Claim(
        "G2/often",
        f"That can be seen: in pairs on one image the selected expert's map is narrower (% of pairs above {VISIBLE})",
        _cell("wins", "spread"), bar=VISIBLE, section=SECTION, settled_after=True,
    ),
    _claim(
        "G3",
        "The selected expert's map lies more on the object than non-selected ones' (% of it in the box)",
        "in_box", "expert", "others", datasets=BOXED,
    ),
    _claim(
        "G3/own",
        "The selected expert's map of its own prediction lies more on the object than others' maps (% in the box)",
        "in_box", "expert", "others", OWN, BOXED,
    ),
    Claim(
        "G3/often",
        f"That can be seen: in pairs on one image the selected expert's map lies more in the box (% above {VISIBLE})",
        _cell("wins", "in_box"), bar=VISIBLE, datasets=BOXED, section=SECTION, settled_after=True,
    ),
    _claim(
        "G4",
        "The selected expert's map points at the object more often than non-selected ones' (% of images)",
        "pointing", "expert", "others", datasets=BOXED,
    ),
)  # fmt: skip
"""What Figure 1's caption says of its few pictures, as numbers over the whole evaluation set."""


def _networks(result: StudyResult) -> dict[str, tuple[int, str]]:
    """The rows of the table: what is mapped."""
    rows = {"base": (0, "backbone")}
    for k in result.numbers_of_experts():
        if k == 1:
            rows["one expert, trained on everything"] = (1, "expert")
        else:
            rows |= {f"selected of {k} experts": (k, "expert"), f"not selected, of {k}": (k, "others")}
    return rows


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: maps of the label's class; ``own``: of each network's own prediction."""
    what = {"main": (TRUE, "the image's label"), "own": (OWN, "the class that the network itself predicts")}
    return {name: _table(result, row, words) for name, (row, words) in what.items()}


def _table(result: StudyResult, row: str, words: str) -> Shown:
    networks = _networks(result)
    columns: Columns = {}
    for metric, title in METRICS.items():
        cells = means(result, [Cell(k, method, row, metric) for k, method in networks.values()], 1)
        if any(cell != NONE for cell in cells):
            columns[title] = cells
    columns["top-1, %"] = means(result, [Cell(k, method, metric="top1") for k, method in networks.values()], 1)
    labels = list(networks)
    if "in the box, %" in columns:
        labels += ["a uniform map", "the centre of the image"]
        last = {title: [NONE, NONE] for title in columns}
        for metric in ("in_box", "pointing"):
            last[METRICS[metric]] = means(result, [Cell(0, name, "", metric) for name in ("uniform", "centre")], 1)
        columns = {title: cells + last[title] for title, cells in columns.items()}
    caption = (
        f"{about(result)}; Grad-CAM of {words}, means over the {result.evaluate} set, mean ± standard deviation over "
        "the seeds. Spread: the share of the image that a map effectively covers (100: uniform), before and after it "
        "is stretched to 0–1 as in pictures. 'not selected' is the mean over all experts but the one the gate picks."
    )
    return Shown(frame(columns, labels), caption)


def read(result: StudyResult) -> str:
    """The numbers in sentences."""
    k = largest(result)
    sentences = []
    for metric, what, unit in (
        ("spread", "Explaining the label, maps cover effectively", "% of the image"),
        ("in_box", "Of a map's mass, the box holds", "%"),
        ("pointing", "The strongest place lies in the box for", "% of the images"),
    ):
        found = [summary_of(result, _cell(method, metric, TRUE, k)) for method in ("backbone", "expert", "others")]
        base, own, others = (mean_std(summary, 1) for summary in found)
        if found[1] is None:
            continue
        known = f"{what} {base} {unit} (base), {own} {unit} (selected expert)"
        sentences.append(known + (f" and {others} {unit} (non-selected experts)." if found[2] else "."))
        if blind := summary_of(result, _cell("centre" if metric == "pointing" else "uniform", metric, "")):
            who = "The image's centre would score" if metric == "pointing" else "A uniform map would have"
            sentences.append(f"{who} {mean_std(blind, 1)} %.")
    for metric, what in (("spread", "is narrower"), ("in_box", "lies more in the box")):
        if often := summary_of(result, _cell("wins", metric, TRUE, k)):
            sentences.append(
                f"Compared with a non-selected expert on the same image, the selected one's map {what} in "
                f"{mean_std(often, 1)} % of cases (50: no difference; {VISIBLE}: visible)."
            )
    for row in TARGETS:
        gap = difference(result, _cell("others", "spread", row, k), _cell("expert", "spread", row, k))
        if gap:
            span = f", 95 % interval {interval(gap, 1, sign=True)}" if gap.interval else ""
            sentences.append(
                f"Non-selected maps are wider than the selected one's by {signed(gap.mean, 1)} points{span} ({row})."
            )
    return " ".join([*sentences, verdicts(result, EXHIBIT.judge(result))])


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``main``: images with the maps of base, selected and other experts; ``numbers``: how focused the maps are."""
    with figure_style():
        return {"main": pictures(results), "numbers": numbers(results)}


EXHIBIT = Exhibit(
    name=NAME,
    title="Figure 1: what base and experts look at",
    parameters=Figure1Parameters,
    study=figure1,
    tables=tables,
    read=read,
    claims=CLAIMS,
    figures=figures,
)
