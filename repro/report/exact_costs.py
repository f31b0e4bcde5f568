"""The paper's cost figures against exact counts of its own networks: these need no run, whatever was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from repro.families.single_gate.scales import default_spec
from repro.models.cost import ModelCost, model_cost
from repro.report.numbers import DATASETS
from repro.report.printed import PrintedValue, printed
from repro.report.tables import Captioned, Columns, frame, frame_of_rows

BACKBONES = ("tr10", "tr18", "tr34", "tr50")
PAIRS = ("tr10-tr10", "tr10-tr18", "tr18-tr10", "tr18-tr18", "tr34-tr10")
"""The rows of Table 1, and tr10 alone, which Figure 2 adds."""
TABLE1_DATASETS, TABLE1_EXPERTS = ("cifar100", "tiny-imagenet"), 20


@cache
def paper_cost(dataset: str, base: str, expert: str | None, num_experts: int) -> ModelCost:
    """Cost at the paper's width and image size; ``expert=None`` is the backbone alone."""
    spec = default_spec("paper", dataset)
    return model_cost(base, expert, spec.num_classes, spec.image_size, num_experts)


@dataclass(frozen=True)
class Figure:
    """A printed cost, what it counts by our reading, and the exact count."""

    what: str
    paper: PrintedValue
    counted: str
    exact: float

    @property
    def matches(self) -> bool:
        """Whether the exact count, rounded as the paper rounds, is what it prints."""
        return self.paper.matches(self.exact)

    @property
    def verdict(self) -> str:
        return "match" if self.matches else "mismatch"

    def texts(self) -> tuple[str, str]:
        """The printed number and the exact one in the same unit, the latter with two more digits."""
        return in_unit_of(self.paper, self.paper.value, 0), in_unit_of(self.paper, self.exact)


def figures_table(figures: Sequence[Figure], caption: str) -> Captioned:
    """Printed costs beside exact counts; of ``{all}`` in the caption ``{matching}`` come out after rounding."""
    units = [figure.paper.digits.partition("e")[1:] for figure in figures]
    columns: Columns = {
        "printed": [figure.paper.digits for figure in figures],
        "by our count": [figure.counted for figure in figures],
        "exact": ["".join((figure.texts()[1], *unit)) for figure, unit in zip(figures, units, strict=True)],
        "off by, %": [f"{100 * (figure.exact / figure.paper.value - 1):+.1f}" for figure in figures],
        "match": [figure.verdict for figure in figures],
    }
    matching = sum(figure.matches for figure in figures)
    table = frame(columns, [figure.what for figure in figures])
    return Captioned(table, caption.format(all=len(figures), matching=matching))


def in_unit_of(paper: PrintedValue, value: float, more: int = 2) -> str:
    """``value`` in the unit of a printed number (``0.56e9``: 1e9), with ``more`` digits than are printed."""
    mantissa, _, exponent = paper.digits.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return f"{value / 10 ** int(exponent or 0):.{decimals + more}f}"


def table1_figures(dataset: str, name: str) -> list[Figure]:
    """The cost figures of a row of Table 1, a backbone or a pair; none for a row that it does not have."""
    base, _, expert = name.partition("-")
    cost = paper_cost(dataset, base, expert or None, TABLE1_EXPERTS)
    counts = {
        "macs": ("the whole base, the gate and one expert", cost.macs),
        "params_inference": ("base, gate and one expert, less one fc", cost.params_inference_paper),
        "params_trainable": ("all experts", cost.params_trainable),
    }
    method, count = ("bagging", TABLE1_EXPERTS) if expert else ("backbone", 0)
    figures = []
    for metric, (counted, exact) in counts.items():
        if value := printed(1, dataset, base, expert, count, method, metric):
            figures.append(Figure(metric, value, counted if expert else "the whole network", exact))
    return figures


def table1_tables() -> dict[str, Captioned]:
    """All 48 printed costs of Table 1, one table an image set, against exact counts at the paper's own widths."""
    return {dataset: _exact(dataset) for dataset in TABLE1_DATASETS}


def _exact(dataset: str) -> Captioned:
    rows, matches = {}, list[bool]()
    for name in (*BACKBONES[1:], *PAIRS):
        base, _, expert = name.partition("-")
        plain_sum = paper_cost(dataset, base, expert or None, TABLE1_EXPERTS).params_inference
        macs, inference, trainable = row = table1_figures(dataset, name)
        matching = [figure.matches for figure in row]
        matches += matching
        rows[name if expert else f"{name} alone"] = {
            "MACs: paper": macs.texts()[0],
            "exact, 1e9": macs.texts()[1],
            "inference: paper": inference.texts()[0],
            "plain sum, 1e7": in_unit_of(inference.paper, plain_sum),
            "less one fc, 1e7": inference.texts()[1],
            "trainable: paper": trainable.texts()[0],
            "exact, 1e7": trainable.texts()[1],
            "match": f"{sum(matching)} of {len(row)}",
            "with the plain sum": "match" if inference.paper.matches(plain_sum) else "mismatch",
        }
    caption = (
        f"{DATASETS[dataset]}: the printed costs of Table 1 against exact counts at the paper's widths and image size, "
        f"with {TABLE1_EXPERTS} experts: {sum(matches)} of {len(matches)} match after rounding. MACs are those of the "
        "whole base, the gate and one expert; 'trainable' counts all experts. The parameters for inference match only "
        "less one fc, a rule that we fitted to the printed numbers; the plain sum is what a model holds."
    )
    return Captioned(frame_of_rows(rows), caption)
