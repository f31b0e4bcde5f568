"""Base, 1 and K experts, and the controls that a gain has to beat: what is trained and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from pydantic import Field

from repro.analysis.anytime import bagged
from repro.analysis.ensemblers import ENSEMBLERS
from repro.analysis.outputs import Outputs, accuracy
from repro.errors import SpecError
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import EQUAL_INFERENCE, EQUAL_TRAINING, plain_cost, shares_of
from repro.families.single_gate.controls import equal_inference as of_equal_inference
from repro.families.single_gate.controls import equal_training as of_equal_training
from repro.families.single_gate.stacking import stacking
from repro.families.single_gate.study import SingleGateParameters, Study, measured, open_study, record, usual
from repro.study.lists import Numbers, WordsOrNone
from repro.study.parameters import DEMONSTRATIONS
from repro.study.record import cost_row, seed_by_seed
from repro.study.results import Measurement, StudyResult, Table

NAME = "table2_num_experts"
LONGER = ["epochs", "top1"]
CONTROLS = ["control", "experts", "width", "epochs", "inference", "training"]


class Parameters(SingleGateParameters):
    """The common ones, how many experts, and which of these numbers get a control of equal training."""

    experts: Numbers = Field((1, 5, 10, 20), description="numbers of experts K, e.g. 1,5,10,20")
    controls: WordsOrNone = Field(
        (), description="numbers of experts that are held against the base trained as long; or none (and no control)"
    )
    longer: bool = Field(False, description="also train the base on validation images, once and for twice as long")

    def specs(self) -> list[StudySpec]:
        """The spec of every seed and number of experts, seed by seed."""
        self.bases()
        return [spec.with_(num_experts=k) for spec in super().specs() for k in self.experts]

    def bases(self) -> list[StudySpec]:
        """The controls of every seed, in the order of their worth; then what says if the base is trained enough."""
        controls = [control for spec in super().specs() for _, _, control in self.controls_of(spec)]
        return controls + self.longer_bases()

    def longer_bases(self) -> list[StudySpec]:
        """The base of the first seed, trained by its recipe and for twice as long, on validation images."""
        spec, recipe = super().specs()[0], super().specs()[0].base_recipe
        recipes = [recipe.model_copy(update={"epochs": times * recipe.epochs}) for times in (1, 2)]
        held_out = spec.with_(role="control", evaluate="validation", expert=spec.base, num_experts=1, stacking=False)
        return [held_out.with_(base_recipe=each) for each in recipes] if self.longer else []

    def controls_of(self, spec: StudySpec) -> list[tuple[str, int, StudySpec]]:
        """Method, number of experts and spec of each control of one seed: equal inference, then equal training."""
        if self.controls == ("none",):
            return []
        if strange := set(self.controls) - set(map(str, self.experts)):
            raise SpecError(f"controls: {', '.join(sorted(strange))} is no number of experts of this run")
        usual = [max(self.experts)] if self.scale in DEMONSTRATIONS else self.experts
        numbers = [int(k) for k in self.controls] or usual
        found = [(EQUAL_TRAINING, k, of_equal_training(spec.with_(num_experts=k))) for k in numbers]
        plain = of_equal_inference(spec.with_(num_experts=max(self.experts)))
        return [*([(EQUAL_INFERENCE, 1, plain)] if plain else []), *found]


def run(parameters: Parameters) -> StudyResult:
    """Run Table 2, seed by seed, and write its record to ``<root>/results``, of as many models as time allows."""
    study = open_study(parameters)
    outputs: dict[int, Outputs] = {}
    tables: dict[str, Table] = {}

    def of_mixture(spec: StudySpec) -> Iterator[Measurement]:
        outputs[spec.seed] = study.run(spec)
        yield from _measure(spec, outputs[spec.seed], study)

    def of_control(method: str, k: int, control: StudySpec) -> Iterator[Measurement]:
        yield measured(control, method, accuracy(*study.base_outputs(control)), num_experts=k)

    models: list[Callable[[], Iterator[Measurement]]] = []
    for seed in parameters.seeds:
        specs = [spec for spec in parameters.specs() if spec.seed == seed]
        models += [partial(of_mixture, spec) for spec in specs]
        models += [partial(of_control, *each) for each in parameters.controls_of(specs[0])]

    def write(found: list[Measurement]) -> StudyResult:
        spec = parameters.specs()[0]
        costs = [cost_row(study.cost(spec).without_experts())]
        costs += [cost_row(study.cost(spec.with_(num_experts=k))) for k in parameters.experts]
        costs += [cost_row(plain_cost(c), f"{method} of {k}") for method, k, c in parameters.controls_of(spec)]
        tables["controls"] = Table(columns=CONTROLS, rows=list(_what_controls_get(parameters, spec)))
        return record(NAME, parameters, study, [*found, *_two_networks(spec, outputs)], costs, tables)

    result = seed_by_seed(models, lambda model: model(), write)
    if longer := parameters.longer_bases():  # last: should time not allow it, the rest is on record
        rows = [[base.base_recipe.epochs, round(accuracy(*study.base_outputs(base)), 4)] for base in longer]
        tables["longer"] = Table(columns=LONGER, rows=rows)
        result = write(result.measurements)
    return result


def _what_controls_get(parameters: Parameters, spec: StudySpec) -> Iterator[list[str | float | None]]:
    """What each control is, and its multiply-adds in percent of the mixture's that it is held against."""
    for method, k, control in parameters.controls_of(spec):
        for experts in parameters.experts if method == EQUAL_INFERENCE else (k,):
            shares = shares_of(control, spec.with_(num_experts=experts))
            rounded = (round(share, 1) for share in shares)
            yield [method, experts, round(control.width, 4), control.base_recipe.epochs, *rounded]


def _measure(spec: StudySpec, outputs: Outputs, study: Study) -> Iterator[Measurement]:
    yield from usual(study, spec, outputs, methods=[m for m in ENSEMBLERS if m != "top-2" or spec.num_experts > 1])
    if spec.stacking:
        yield measured(spec, "stacking", accuracy(stacking(outputs, study.stackers(spec)), outputs.labels))


def _two_networks(spec: StudySpec, outputs: dict[int, Outputs]) -> Iterator[Measurement]:
    """The poster's reading of "one expert": two whole networks, here the bases of a seed and of the next one.

    With three seeds each base takes part in two of the three pairs. Two seeds are one pair, one seed is none.
    """
    seeds = sorted(outputs)
    following = seeds[1:] + seeds[: len(seeds) > 2]
    for seed, other in zip(seeds, following, strict=False):
        both = bagged(outputs[seed].base_logits, outputs[other].base_logits)
        value = accuracy(both, outputs[seed].labels)
        yield measured(spec.with_(seed=seed, num_experts=1), "two networks", value)
