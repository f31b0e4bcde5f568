"""The single-gate mixture of experts in steps: Algorithm 1, and as many rounds of EM as are asked for.

What an artifact depends on is said here (the base's in :mod:`repro.study.plain`) and nowhere else; how it is made, in
:mod:`~repro.families.single_gate.algorithm1`. When code comes to make other numbers than before (``test_golden.py``
says so), raise the kind's revision.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from typing import Any, NamedTuple

from repro.families.single_gate import algorithm1 as made_by
from repro.families.single_gate.config import StudySpec
from repro.study.contents import digest
from repro.study.graph import BACKWARD, FORWARD, Goal, Step
from repro.study.plain import plain_goal, plain_steps
from repro.training.recipe import Recipe

REVISIONS = {"gate": 1, "expert": 1, "ensembler": 1, "losses": 1, "predictions": 1}


class Steps(NamedTuple):
    """The steps of one spec. ``losses`` are of all training images; an ensembler belongs to each expert."""

    base: Step
    gate: Step
    experts: tuple[Step, ...]
    ensemblers: tuple[Step, ...]
    losses: Step
    predictions: Step
    base_predictions: Step


def goal(spec: StudySpec | str) -> Goal:
    """The mixture of a spec (or of its JSON); with its stacking ensemblers, if the spec asks for them."""
    asked = spec if isinstance(spec, StudySpec) else StudySpec.model_validate_json(spec)
    mixture = steps(asked)
    wanted = (mixture.predictions, *(mixture.ensemblers if asked.stacking else ()))
    return Goal(_model(asked), wanted, f"{__name__}:goal", asked.model_dump_json())


def goals(specs: Iterable[StudySpec], bases: Iterable[StudySpec] = ()) -> list[Goal]:
    """The mixtures of ``specs`` and the bases alone of ``bases``: all of a seed before the next one's."""
    asked = [*((spec.seed, goal(spec)) for spec in specs), *((spec.seed, plain_goal(spec)) for spec in bases)]
    return [wanted for _, wanted in sorted(asked, key=lambda each: each[0])]


@cache
def steps(spec: StudySpec) -> Steps:
    """Algorithm 1 for one spec; after an E-step it goes on from the steps of before it."""
    before = steps(spec.before_em_step()) if spec.em_steps else None
    train, test = spec.num_images
    cost = spec.cost
    everything = cost.base_macs + spec.num_experts * cost.expert_macs
    seed = {"seed": spec.seed, "em_steps": spec.em_steps}
    of_all = f"of {spec.num_experts}{_about(spec)}"

    base, base_predictions = plain_steps(spec)
    gate = Step(
        "gate",
        {"num_experts": spec.num_experts, "routing": spec.routing.model_dump(mode="json"), **seed,
         **_how("gate", spec.gate_recipe)},
        partial(made_by.make_gate, spec), (base, before.losses) if before else (base,),
        label=f"gate {of_all}", work=FORWARD * train * cost.base_macs,
    )  # fmt: skip

    how = {"expert": spec.expert, "gamma": spec.gamma, "sharing": spec.sharing, "init": spec.expert_init,
           "trunk_batchnorm": spec.trunk_batchnorm, **seed, **_how("expert", spec.recipe_of_experts)}  # fmt: skip
    visits = train * spec.mean_share
    # A trunk that normalises by each batch sees others when it serves several experts: then each is trained apart.
    apart, together = spec.trunk_batchnorm == "training", f"experts of {gate.key}, {digest(how)}"
    trunk = (visits if apart else train / spec.num_experts) * cost.trunk_macs
    epochs = spec.recipe_of_experts.epochs
    experts = tuple(
        Step(
            "expert", {"k": k, **how}, partial(made_by.make_experts, spec),
            (base, gate, before.experts[k]) if before else (base, gate),
            label=f"expert {k + 1} {of_all}", work=epochs * (trunk + visits * BACKWARD * cost.expert_macs),
            epochs=epochs, together=f"{together}, {k}" if apart else together,
        )
        for k in range(spec.num_experts)
    )  # fmt: skip

    seen = 1 - (1 - min(visits / train, 1)) ** spec.ensembler_recipe.epochs  # share that is seen at least once
    ensemblers = tuple(
        Step(
            "ensembler", {"k": k, **seed, **_how("ensembler", spec.ensembler_recipe)},
            partial(made_by.make_ensembler, spec), (base, gate, expert), label=f"ensembler {k + 1} {of_all}",
            work=FORWARD * seen * train * (cost.base_macs + cost.expert_macs),
        )
        for k, expert in enumerate(experts)
    )  # fmt: skip
    whole, of_experts = (base, gate, *experts), f"of {_experts(spec)}{_about(spec)}"
    losses = Step(
        "losses", {"revision": REVISIONS["losses"]}, partial(made_by.make_losses, spec), whole,
        f"training losses {of_experts}", FORWARD * train * everything,
    )  # fmt: skip
    predictions = Step(
        "predictions", {**spec.evaluated_on(), "revision": REVISIONS["predictions"]},
        partial(made_by.make_predictions, spec), whole, f"predictions {of_experts}", FORWARD * test * everything,
    )  # fmt: skip
    return Steps(base, gate, experts, ensemblers, losses, predictions, base_predictions)


def _how(kind: str, recipe: Recipe) -> dict[str, Any]:
    return {"recipe": recipe.settings, "revision": REVISIONS[kind]}


def _about(spec: StudySpec) -> str:
    step = f" after E-step {spec.em_steps}" if spec.em_steps else ""
    return f"{step}, seed {spec.seed}"


def _model(spec: StudySpec) -> str:
    """E.g. ``tr18-tr18 on cifar100, 20 experts, seed 0``."""
    routing = "" if spec.routing.level == "per-sample" else f", {spec.routing.level} routing"
    step = f", after E-step {spec.em_steps}" if spec.em_steps else ""
    return f"{spec.pair} on {spec.data}, {_experts(spec)}{routing}{step}, seed {spec.seed}"


def _experts(spec: StudySpec) -> str:
    return f"{spec.num_experts} expert{'s' if spec.num_experts > 1 else ''}"
