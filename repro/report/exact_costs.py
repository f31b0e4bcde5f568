"""The paper's cost figures against exact counts of its own networks: these need no run, whatever was trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from repro.models.cost import ModelCost, model_cost
from repro.report.printed import PrintedValue, printed
from repro.study.scales import default_spec


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
        """In a word."""
        return "match" if self.matches else "mismatch"

    def texts(self, more: int = 2) -> tuple[str, str]:
        """The printed number and the exact one in the same unit, the latter with ``more`` digits."""
        return in_unit_of(self.paper, self.paper.value, 0), in_unit_of(self.paper, self.exact, more)


def in_unit_of(paper: PrintedValue, value: float, more: int = 2) -> str:
    """``value`` in the unit of a printed number (``0.56e9``: 1e9), with ``more`` digits than are printed."""
    mantissa, _, exponent = paper.digits.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return f"{value / 10 ** int(exponent or 0):.{decimals + more}f}"


def table1_figures(dataset: str, base: str, expert: str | None, num_experts: int = 20) -> list[Figure]:
    """The cost figures of a row of Table 1; none for a row that it does not have."""
    cost = paper_cost(dataset, base, expert, num_experts)
    counts = {
        "macs": ("the whole base, the gate and one expert", cost.macs),
        "params_inference": ("base, gate and one expert, less one fc", cost.params_inference_paper),
        "params_trainable": ("all experts", cost.params_trainable),
    }
    method, count = ("bagging", num_experts) if expert else ("backbone", 0)
    figures = []
    for metric, (counted, exact) in counts.items():
        if value := printed(1, dataset, base, expert, count, method, metric):
            figures.append(Figure(metric, value, counted if expert else "the whole network", exact))
    return figures
