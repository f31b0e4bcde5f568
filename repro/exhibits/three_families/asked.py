"""What may be asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import Field

from repro.errors import SpecError
from repro.exhibits.three_families.bodies import RESNET, Asked, Body, Model, at_rate
from repro.exhibits.three_families.families import BUDGETS, FAMILIES, RATES, USUAL, Family
from repro.families.single_gate.study import SingleGateParameters
from repro.models.cost import model_cost
from repro.study.graph import Goal
from repro.study.lists import Words, WordsOrNone


class ThreeFamiliesParameters(SingleGateParameters):
    """The common ones; which families at which budgets; how many experts; how many trials."""

    families: WordsOrNone = Field((), description="of " + "; ".join(f.name for f in FAMILIES) + "; empty: the scale's")
    budgets: Words = Field(tuple(BUDGETS), description="in units of the middle one: small 1/2, middle 1, large 2")
    elsewhere: int = Field(1, ge=1, description="seeds, the first of all, with the other budgets and curves of λ")
    experts: int = Field(0, ge=0, le=1024, description="of the single-gate mixture; 0: the scale's")
    epochs: int = Field(0, ge=0, description="of each plain network, DeepMoE and ConvNeXt; 0: the scale's")
    trials: int = Field(-1, ge=-1, le=4, description="choices tried on validation images; -1: the scale's")

    def chosen(self) -> list[Family]:
        """The families asked for, in the table's order."""
        three = [f.name for f in FAMILIES if f.body is not RESNET]
        usual = three if USUAL.get(self.scale, {}).get("three") else [f.name for f in FAMILIES]
        found = _known("families", self.families or usual, [f.name for f in FAMILIES])
        return [family for family in FAMILIES if family.name in found]

    def tried(self) -> int:
        """Trials of each family and body."""
        return self.trials if self.trials >= 0 else int(USUAL.get(self.scale, {}).get("trials", 4))

    def asked(self, seed: int, evaluate: Literal["test", "validation"] = "test") -> Asked:
        """What all models of a seed share."""
        usual = USUAL.get(self.scale, {})
        (spec,) = self.model_copy(update={"seeds": (seed,)}).specs()
        epochs = self.epochs or usual.get("epochs", spec.base_recipe.epochs)
        if evaluate == "validation":
            epochs = min(epochs, usual.get("trial_epochs", epochs))
        longer = epochs / spec.base_recipe.epochs
        return Asked(self.scale, spec.with_(
            num_experts=self.experts or usual.get("experts", 20), stacking=False, evaluate=evaluate,
            width=usual.get("width", spec.width),
            num_train=usual.get("num_train", spec.num_train), num_test=usual.get("num_test", spec.num_test),
            base_recipe=at_rate(spec.base_recipe, 1, epochs),
            expert_recipe=at_rate(spec.expert_recipe, 1, max(1, round(longer * spec.expert_recipe.epochs))),
        ))  # fmt: skip

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

    def goals(self, taken: Mapping[str, float] | None = None) -> list[Goal]:
        """The trials, if there are any and nothing was ``taken`` yet; else the plain curves and the mixtures.

        The controls of what a mixture came to cost are known only when it is trained.
        """
        if taken is None and self.tried():
            asked = self.asked(self.seeds[0], "validation")
            return [model.goal for _, _, model in _trials(self, asked)]
        taken, goals = taken or {}, []
        for seed in self.seeds:
            asked = self.asked(seed)
            for body in _bodies(self):
                rate = taken.get(body.name, RATES[0])
                goals += [body.make(asked, width, rate=rate).goal for width in self.widths(body, asked)]
            goals += [
                family.make(asked, macs, choice).goal
                for family in self.chosen()
                for budget, macs in self.macs(asked).items()
                if seed in self.at(budget)
                for choice in self.drawn(family, budget, seed, taken.get(family.name, family.choices[0]))
            ]
        return goals


def _known(field: str, asked: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    if wrong := [name for name in asked if name not in known]:
        raise SpecError(f"{field}: there is no {wrong[0]!r}; choose of {', '.join(known)}")
    return asked


def _bodies(parameters: ThreeFamiliesParameters) -> list[Body]:
    return list({family.body.name: family.body for family in parameters.chosen()}.values())


def _trials(parameters: ThreeFamiliesParameters, asked: Asked) -> Iterator[tuple[str, float, Model]]:
    """(who, choice, model) at the middle budget, or the first there is: as many for each family and each body."""
    budgets, count = parameters.macs(asked), parameters.tried()
    budget = budgets.get("middle", next(iter(budgets.values())))
    for body in _bodies(parameters):
        width = body.width_for(asked, budget)
        yield from ((body.name, rate, body.make(asked, width, rate=rate)) for rate in RATES[:count])
    for family in parameters.chosen():
        yield from ((family.name, c, family.make(asked, budget, c)) for c in family.choices[:count])
