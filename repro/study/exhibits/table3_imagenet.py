"""Table 3: torchvision's networks on ImageNet with 1, 4 and 20 experts, and early exit at the base's confidence.

On another image set the same is run with that scale's own network, as a stand-in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from repro.data.augment import Augmentation
from repro.errors import SpecError
from repro.method.early_exit import at_confidence
from repro.method.ensemblers import bagging
from repro.method.outputs import Outputs, accuracy
from repro.models.torchvision_nets import PAPER_NETWORKS
from repro.study.lists import Numbers, Shares, WordsOrNone
from repro.study.parameters import Parameters
from repro.study.pipeline import Study
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import Measurement, StudyResult
from repro.study.scales import default_spec
from repro.study.spec import StudySpec

NAME = "table3_imagenet"
NETWORKS = PAPER_NETWORKS
THRESHOLDS = (0.75, 0.5)


class Table3Parameters(Parameters):
    """The common ones, which networks, how many experts, and where to exit."""

    networks: WordsOrNone = Field((), description="empty: Table 3's on imagenet, elsewhere the scale's own")
    experts: Numbers = Field((1, 4, 20), description="numbers of experts K, e.g. 1,4,20")
    thresholds: Shares = Field(THRESHOLDS, description="base confidences at which an image exits")
    pretrained: bool = Field(True, description="imagenet: torchvision's weights; false: train the base here")

    def specs(self) -> list[StudySpec]:
        """The spec of every network, seed and number of experts, network by network."""
        spec = default_spec(self.scale, self.dataset)
        spec = spec.with_(pretrained=spec.pretrained and self.pretrained, stacking=False)
        names = self.networks or (NETWORKS if self.dataset == "imagenet" else (spec.base,))
        nets = [spec.with_(base=name, expert=name) for name in names]
        return [net.with_(seed=seed, num_experts=k) for net in nets for seed in self.seeds for k in self.experts]


def exit_method(tau: float) -> str:
    """How records, and the paper's CSV, name bagging with early exit at τ."""
    return f"bagging tau={tau:g}"


def table3(parameters: Table3Parameters) -> StudyResult:
    """Run Table 3 and write its record."""
    study = open_study(parameters)
    specs = study.specs
    check_classes(specs[0], study)
    measurements: list[Measurement] = []
    costs = []
    for spec in specs:
        measurements += measure(spec, study.run(spec), study, parameters.thresholds, row=spec.base)
        cost = study.cost(spec)
        costs += [cost_row(cost.without_experts(), spec.base), cost_row(cost, spec.base)]
    varies = ("base", "expert") if len({spec.base for spec in specs}) > 1 else ()
    return record(NAME, parameters, study, measurements, costs, varies=varies)


def measure(
    spec: StudySpec, outputs: Outputs, study: Study, thresholds: Sequence[float], row: str = ""
) -> Iterator[Measurement]:
    """Base, bagging, and bagging with early exit: accuracy, who runs the expert, and the mean cost of an image."""
    yield measured(spec, "backbone", accuracy(outputs.base_logits, outputs.labels), row=row, num_experts=0)
    yield measured(spec, "bagging", accuracy(bagging(outputs), outputs.labels), row=row)
    for tau in thresholds:
        exited = at_confidence(outputs, study.cost(spec), tau)
        yield measured(spec, exit_method(tau), exited.top1, row=row)
        yield measured(spec, exit_method(tau), exited.runs_expert, "runs_expert", row)
        yield measured(spec, exit_method(tau), exited.macs / 1e6, "macs_millions", row)


def check_classes(spec: StudySpec, study: Study) -> None:
    """Refuse a folder whose classes the networks do not have, before any work.

    torchvision's weights know ImageNet's 1000 classes in the order of their names; on a folder of fewer the labels
    would mean other classes, and every accuracy would be near 0.
    """
    if spec.dataset != "imagenet":
        return
    classes = study.sources.batches(spec, "evaluation", Augmentation()).num_classes
    if classes > spec.num_classes or (spec.pretrained and classes != spec.num_classes):
        raise SpecError(
            f"imagenet below {study.root} has {classes} classes, torchvision's weights have {spec.num_classes}: "
            "lay out all of them, or set pretrained to false to train the base models on this folder"
        )
