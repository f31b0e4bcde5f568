"""Table 4: ours beside other dynamic routing, at about equal multiply-adds; DeepMoE and RMN stand as printed.

On ImageNet ours is ResNet-18 with 4 experts (the models of Table 3), elsewhere tr18-tr10 with 10.
"""

from __future__ import annotations

from pydantic import Field

from repro.errors import SpecError
from repro.study.exhibits.table3_imagenet import check_classes, measure
from repro.study.lists import Shares
from repro.study.parameters import Parameters
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import Measurement, StudyResult
from repro.study.scales import default_spec
from repro.study.spec import StudySpec

NAME = "table4_dynamic_routing"
OURS = {"imagenet": ("resnet18-resnet18", 4)}
OURS_ELSEWHERE = ("tr18-tr10", 10)
THRESHOLDS = (0.75,)


def ours_on(dataset: str) -> tuple[str, int]:
    """The pair and the number of experts of Table 4 on an image set."""
    return OURS.get(dataset, OURS_ELSEWHERE)


class Table4Parameters(Parameters):
    """The common ones, the model, and where to exit."""

    pair: str = Field("", description="base-expert; empty: Table 4's, resnet18-resnet18 on imagenet, else tr18-tr10")
    experts: int = Field(0, ge=0, description="number of experts K; 0: Table 4's, 4 on imagenet, else 10")
    thresholds: Shares = Field(THRESHOLDS, description="base confidences at which an image exits")
    pretrained: bool = Field(True, description="imagenet: torchvision's weights; false: train the base here")

    def specs(self) -> list[StudySpec]:
        """The spec of every seed."""
        pair, count = ours_on(self.dataset)
        base, dash, expert = (self.pair or pair).partition("-")
        if not dash:
            raise SpecError(f"pair: write base-expert, such as tr18-tr10, not {self.pair!r}")
        spec = default_spec(self.scale, self.dataset)
        spec = spec.with_(
            base=base, expert=expert, num_experts=self.experts or count, stacking=False,
            pretrained=spec.pretrained and self.pretrained,
        )  # fmt: skip
        return [spec.with_(seed=seed) for seed in self.seeds]


def table4(parameters: Table4Parameters) -> StudyResult:
    """Run our half of Table 4 and write its record."""
    study = open_study(parameters)
    specs = study.specs
    check_classes(specs[0], study)
    measurements: list[Measurement] = []
    for spec in specs:
        found = list(measure(spec, study.run(spec), study, parameters.thresholds))
        base, *mixtures = (m for m in found if m.metric == "top1")
        measurements += found
        # Table 4 compares gains over each method's own base, since the bases differ.
        measurements += [measured(spec, m.method, m.value - base.value, "gain") for m in mixtures]
    cost = study.cost(specs[0])
    return record(NAME, parameters, study, measurements, [cost_row(cost.without_experts()), cost_row(cost)])
