"""What may be asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Literal, NamedTuple

from pydantic import Field

from repro.errors import SpecError
from repro.exhibits.three_families.bodies import RESNET, Asked, Body, Model, at_rate
from repro.exhibits.three_families.families import BUDGETS, FAMILIES, USUAL, Family
from repro.exhibits.three_families.rivals import INFERENCE, rivals
from repro.exhibits.three_families.trials import in_store, tuned
from repro.families.single_gate.study import SingleGateParameters
from repro.models.cost import model_cost
from repro.study.graph import Goal
from repro.study.lists import Words, WordsOrNone
from repro.study.store import Store


class Mixture(NamedTuple):
    """A family at a budget: the model that is judged, and the other points of its curve."""

    family: Family
    budget: str
    model: Model
    others: list[Model]


class ThreeFamiliesParameters(SingleGateParameters):
    """The common ones; which families at which budgets; how many experts; how many trials."""

    families: WordsOrNone = Field((), description="of " + "; ".join(f.name for f in FAMILIES) + "; empty: the three")
    budgets: Words = Field(tuple(BUDGETS), description="in units of the middle one: small 1/2, middle 1, large 2")
    elsewhere: int = Field(1, ge=0, description="first seeds, which have all budgets, curves of λ, as many parameters")
    experts: int = Field(0, ge=0, le=1024, description="of the single-gate mixture; 0: the scale's")
    epochs: int = Field(0, ge=0, description="of each plain network, DeepMoE and ConvNeXt; 0: the scale's")
    trials: int = Field(-1, ge=-1, le=4, description="choices tried on validation images; -1: the scale's")

    def chosen(self) -> list[Family]:
        """The families asked for, in the table's order."""
        three = [f.name for f in FAMILIES if f.body is not RESNET]
        found = _known("families", self.families or three, [f.name for f in FAMILIES])
        return [family for family in FAMILIES if family.name in found]

    def part(self) -> str:
        """Which families, where they are not the usual three: they are recorded apart."""
        usual = self.model_copy(update={"families": ()}).chosen()
        return "" if self.chosen() == usual else "+".join(family.name for family in self.chosen())

    def bodies(self) -> list[Body]:
        """Their bodies, each once."""
        return list({family.body.name: family.body for family in self.chosen()}.values())

    def tried(self) -> int:
        """Trials of each family and body."""
        return self.trials if self.trials >= 0 else int(USUAL.get(self.scale, {}).get("trials", 4))

    def asked(
        self, seed: int, evaluate: Literal["test", "validation"] = "test", rate: float = 1.0, short: bool = False
    ) -> Asked:
        """What all models of a seed share; ``short``: in trials, which need not be as long as what they are for."""
        usual = USUAL.get(self.scale, {})
        (spec,) = self.model_copy(update={"seeds": (seed,)}).specs()
        epochs = self.epochs or usual.get("epochs", spec.base_recipe.epochs)
        if short:
            epochs = min(epochs, usual.get("trial_epochs", epochs))
        longer = epochs / spec.base_recipe.epochs
        return Asked(self.scale, spec.with_(
            num_experts=self.experts or usual.get("experts", 20), stacking=False, evaluate=evaluate,
            width=usual.get("width", spec.width),
            num_train=usual.get("num_train", spec.num_train), num_test=usual.get("num_test", spec.num_test),
            base_recipe=at_rate(spec.base_recipe, 1, epochs),
            expert_recipe=at_rate(spec.expert_recipe, 1, max(1, round(longer * spec.expert_recipe.epochs))),
        ), usual.get("convnext", {}).get(spec.dataset, "convnext-micro"), rate)  # fmt: skip

    def macs(self, asked: Asked) -> dict[str, float]:
        """MACs of each budget that is asked for."""
        _known("budgets", self.budgets, list(BUDGETS))
        spec = asked.spec
        middle = model_cost(
            spec.base, spec.expert, spec.num_classes, spec.image_size, spec.num_experts, spec.width
        ).macs
        return {name: BUDGETS[name] * middle for name in BUDGETS if name in self.budgets}

    def at(self, budget: str) -> tuple[int, ...]:
        """The seeds of a budget."""
        return self.seeds if budget == "middle" else self.seeds[: self.elsewhere]

    def drawn(self, family: Family, budget: str, seed: int, taken: float) -> list[float]:
        """What is trained: the choice that was taken, then, of the first seeds at the middle budget, the curve's."""
        curve = family.drawn and budget == "middle" and seed in self.seeds[: self.elsewhere]
        return list(dict.fromkeys([taken, *(family.choices if curve else ())]))

    def widths(self, body: Body, asked: Asked) -> list[float]:
        """The plain curve of a body: half of each budget, the budgets, and more than any DeepMoE of them."""
        budgets = self.macs(asked).values()
        macs = {factor * budget for budget in budgets for factor in (0.5, 1)} | {2.25 * max(budgets)}
        return sorted({body.width_for(asked, each) for each in macs})

    def curve(self, body: Body, asked: Asked) -> list[Model]:
        """The networks of the plain curve of a body, rising in cost."""
        return [body.make(asked, width) for width in self.widths(body, asked)]

    def mixtures(self, body: Body, asked: Asked, taken: Mapping[str, float]) -> Iterator[Mixture]:
        """The mixtures on a body at every budget."""
        for family in (family for family in self.chosen() if family.body is body):
            for budget, macs in self.macs(asked).items():
                if asked.spec.seed in self.at(budget):
                    choices = self.drawn(family, budget, asked.spec.seed, taken[family.name])
                    first, *others = [family.make(asked, macs, choice) for choice in choices]
                    yield Mixture(family, budget, first, others)

    def rivals(self, body: Body, asked: Asked, mixture: Mixture, macs: float | None) -> dict[str, list[Model]]:
        """What a mixture of such MACs is held against; with as many parameters at the middle budget, first seeds.

        Where it costs less than the plain curve's narrowest, as a DeepMoE may, its equal in inference is trained too.
        """
        first = mixture.budget == "middle" and asked.spec.seed in self.seeds[: self.elsewhere]
        found = rivals(body, asked, mixture.model, macs, first)
        if macs is not None and macs < body.cost(asked, self.widths(body, asked)[0])[0]:
            found[INFERENCE] = [body.make(asked, width) for width in body.around(asked, macs)]
        return found

    def planned(self, taken: Mapping[str, float]) -> list[Goal]:
        """All that is trained with what was taken, but for the rivals whose cost the gates of a mixture decide."""
        models: list[Model] = []
        for seed in self.seeds:
            for body in self.bodies():
                asked = self.asked(seed, rate=taken[body.name])
                models += self.curve(body, asked)
                for mixture in self.mixtures(body, asked, taken):
                    held = self.rivals(body, asked, mixture, mixture.model.macs)
                    models += [mixture.model, *mixture.others, *chain.from_iterable(held.values())]
        return list({model.goal.steps[0]: model.goal for model in models}.values())

    def goals(self) -> list[Goal]:
        """The trials, and all that is planned with what the store says that they gave; else with the first choices.

        And what follows from those gated mixtures that stand.
        """
        store = Store(self.root)
        found = tuned(self, partial(in_store, store))
        return [*found.goals, *self.planned(found.taken), *self._following(found.taken, store)]

    def gated(self, taken: Mapping[str, float]) -> Iterator[tuple[Body, Asked, Mixture]]:
        """The mixtures whose gates decide what they cost, and so what they are held against."""
        for seed in self.seeds:
            for body in self.bodies():
                asked = self.asked(seed, rate=taken[body.name])
                for mixture in self.mixtures(body, asked, taken):
                    if mixture.model.macs is None:
                        yield body, asked, mixture

    def _following(self, taken: Mapping[str, float], store: Store) -> Iterator[Goal]:
        for body, asked, mixture in self.gated(taken):
            for point in in_store(store, [mixture.model]) or ():
                if point:
                    held = self.rivals(body, asked, mixture, point.macs)
                    yield from (model.goal for model in chain.from_iterable(held.values()))


def _known(field: str, asked: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    if wrong := [name for name in asked if name not in known]:
        raise SpecError(f"{field}: there is no {wrong[0]!r}; choose of {', '.join(known)}")
    return asked
