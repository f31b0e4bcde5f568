"""Table 4, dynamic routing, shown: ours beside DeepMoE and RMN as printed, and its training column explained."""

from __future__ import annotations

from repro.report.claim import AS_GOOD, Cell, Claim, equal_inference, equal_training, with_controls
from repro.report.exhibits.exhibit import Exhibit
from repro.report.exhibits.table4_counts import counts
from repro.report.numbers import NONE, mean_std, signed
from repro.report.printed import PrintedValue, printed
from repro.report.reading import verdicts
from repro.report.tables import PAPER_COLUMN, Columns, Row, Shown, about, comparison, cost_columns, frame, text
from repro.report.verdict import is_model, summary_of
from repro.study.exhibits.table3_imagenet import exit_method
from repro.study.exhibits.table4_dynamic_routing import NAME, OURS, THRESHOLDS, Table4Parameters, ours_on, table4
from repro.study.results import StudyResult

EARLY = exit_method(THRESHOLDS[0])
OTHERS = {
    "imagenet": {"DeepMoE (Wide-DeepMoE-18), as printed": (17, "deepmoe")},
    "tiny-imagenet": {"RMN (no SE), as printed": (8, "rmn (no SE)")},
}
"""The other methods by image set: what they are called, and their number and method in the paper's CSV."""


def _claims() -> tuple[Claim, ...]:
    claims = []
    for key, pair, count, datasets in (
        ("E", "tr18-tr10", ours_on("")[1], ("tiny-imagenet", "cifar100", "cifar10", "modes")),
        ("I", "ResNet-18", ours_on("imagenet")[1], tuple(OURS)),
    ):
        whole, early = Cell(count), Cell(count, EARLY)
        claims += [
            Claim(f"{key}1", f"{pair} with {count} experts beats its base", whole, Cell(0), datasets=datasets,
                  section="4.2", controls=(equal_training(count), equal_inference())),
            Claim(f"{key}2", f"{pair}: exits at confidence {THRESHOLDS[0]:g} cost little", early, whole, AS_GOOD,
                  datasets=datasets, section="4.2"),
        ]  # fmt: skip
    return with_controls(claims)


CLAIMS = _claims()
"""Section 4.2 calls the trade-offs of ours, DeepMoE and RMN "comparable". DeepMoE and RMN are not run here, so that is
left to the reader; what can be judged within a scale is ours against its own base, and its early exit."""


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number for a cell of ours; a gain is the difference of its printed accuracies."""
    pair, _ = ours_on(result.dataset)
    base, _, expert = pair.partition("-")

    def top1(k: int, method: str) -> PrintedValue | None:
        # The base's own accuracy stands in Tables 3 and 1, and in Table 4's text.
        table, named = ("3a", expert) if result.dataset == "imagenet" else (1, "")
        return (
            printed(4, result.dataset, base, expert, k, method, "top1")
            if k
            else printed(table, result.dataset, base, named, 0, "backbone", "top1")
        )

    value = top1(cell.num_experts, cell.measured_as)
    if cell.metric == "top1":
        return value
    alone = top1(0, "backbone")
    return (
        PrintedValue(round(value.value - alone.value, 2), None) if cell.metric == "gain" and value and alone else None
    )


def _cells(result: StudyResult) -> list[tuple[str, Cell]]:
    k = max(result.numbers_of_experts(), default=ours_on(result.dataset)[1])
    taus = [m.method for m in result.measurements if m.metric == "top1" and "tau=" in m.method]
    exits = [
        (f"ours, exit at {method.partition('tau=')[2]}", Cell(k, method)) for method in dict.fromkeys([EARLY, *taus])
    ]
    return [("our base alone", Cell(0)), (f"ours, {k} experts", Cell(k)), *exits]


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: accuracies, ours and as printed; ``trade_off``: gain over the own base against multiply-adds."""
    cells = _cells(result)
    pair, _ = ours_on(result.dataset)
    same = is_model(result, *pair.split("-"))
    rows = [Row(name, cell, printed_value(result, cell), same) for name, cell in cells]
    main = comparison(result, rows)
    for name, (count, method) in OTHERS.get(result.dataset, {}).items():
        other = printed(4, result.dataset, pair.partition("-")[0], "", count, method, "top1")
        known = {PAPER_COLUMN: text(other), "verdict": "not run"}
        main.loc[name] = [known.get(column, NONE) for column in main.columns]
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent, mean ± standard deviation. 'ours' "
        "bags the probabilities of base and selected expert; with an exit at τ the base alone answers where its "
        "largest probability is at least τ. The other methods are not run here: their numbers are the paper's."
    )
    return {"main": Shown(main, caption), "trade_off": _trade_off(result)}


def _trade_off(result: StudyResult) -> Shown:
    columns: Columns = {PAPER_COLUMN: [], "gain": [], "runs the expert, %": [], "mean MACs, millions": []}
    labels = []
    for name, cell in _cells(result)[1:]:
        k, method = cell.num_experts, cell.method
        gain = Cell(k, cell.measured_as, metric="gain")
        paper, ours = printed_value(result, gain), summary_of(result, gain)
        macs = next((cost.macs / 1e6 for cost in result.costs if cost.num_experts == k), None)
        whole = NONE if macs is None else f"{macs:.1f}"
        mean = mean_std(summary_of(result, Cell(k, method, metric="macs_millions")), 1)
        runs = mean_std(summary_of(result, Cell(k, method, metric="runs_expert")), 1)
        labels.append(name)
        columns[PAPER_COLUMN].append(signed(paper.value) if paper else NONE)
        columns["gain"].append(mean_std(ours))
        columns["runs the expert, %"].append(runs if "tau=" in method else "100")
        columns["mean MACs, millions"].append(mean if "tau=" in method else whole)
    base = next((cost for cost in result.costs if cost.num_experts == 0), None)
    alone = cost_columns([base])["MACs"][0]
    caption = (
        f"{about(result, models=False)}; points of top-1 gained over the own base, whose cost is {alone} multiply-adds "
        f"an image, and what that costs.{_others_gain(result)}"
    )
    return Shown(frame(columns, labels), caption)


def _others_gain(result: StudyResult) -> str:
    """What RMN gains over its own base, by the paper's numbers."""
    ours = ours_on(result.dataset)[0].partition("-")[0]
    rmn, base = (printed(4, result.dataset, ours, "", 8, m, "top1") for m in ("rmn (no SE)", "rmn base"))
    if not (rmn and base):
        return ""
    return f" As printed, RMN gains {signed(rmn.value - base.value)} points over a base of its own, at {base.text()} %."


def read(result: StudyResult) -> str:
    """The numbers in sentences."""
    sentences = []
    for name, cell in _cells(result):
        gain = summary_of(result, Cell(cell.num_experts, cell.measured_as, metric="gain"))
        runs = summary_of(result, Cell(cell.num_experts, cell.method, metric="runs_expert")) if cell.method else None
        if summary := summary_of(result, cell):
            sentence = f"{name[0].upper()}{name[1:]}: {mean_std(summary)} %"
            sentence += f", {signed(gain.mean)} points over the base" if gain else ""
            sentence += f", with {mean_std(runs, 1)} % of the images running the expert" if runs else ""
            sentences.append(sentence + ".")
    return " ".join([*sentences, verdicts(result, EXHIBIT.judge(result))])


EXHIBIT = Exhibit(
    NAME, "Table 4: other dynamic routing", Table4Parameters, table4, tables, read, CLAIMS, printed_value, exact=counts
)
