"""DeepMoE in steps: joint training, the stage with gates frozen, predictions."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import Field, field_validator

from repro.errors import Frozen
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.model import DeepMoE, build
from repro.families.deepmoe.training import predict, train_jointly, train_with_gates_frozen
from repro.models.registry import build_backbone
from repro.randomness import derive, seeded_init
from repro.study.artifact import Artifact, trained
from repro.study.graph import BACKWARD, FORWARD, Context, Goal, Inputs, Step
from repro.study.plain import PlainSpec, plain_steps
from repro.training.recipe import Recipe

# Raised when code makes other numbers (``test_golden.py`` says so).
REVISIONS = {"deepmoe": 1, "deepmoe-frozen": 1, "predictions": 2}


class Asked(Frozen):
    """A DeepMoE on the images, and with the seed, of a spec; of the spec's networks none but a start takes part."""

    spec: PlainSpec
    model: DeepMoEConfig
    recipe: Recipe = Field(description="stage one, jointly")
    recipe_two: Recipe | None = Field(None, description="stage two, gates frozen (Procedure 1); none: there is none")

    @field_validator("spec", mode="after")
    @classmethod
    def _plain(cls, value: PlainSpec) -> PlainSpec:
        """Of the spec of a mixture, what concerns its base."""
        return value.plain


def goal(asked: Asked | str) -> Goal:
    """The predictions of a DeepMoE, or of its JSON."""
    asked = asked if isinstance(asked, Asked) else Asked.model_validate_json(asked)
    return Goal(_label(asked), (steps(asked),), f"{__name__}:goal", asked.model_dump_json())


def steps(asked: Asked) -> Step:
    """The last step, which makes the predictions; what it needs hangs on it."""
    spec, config, label = asked.spec, asked.model, _label(asked)
    train, test = spec.num_images
    cost = deepmoe_cost(config)
    macs = cost.dense_macs + cost.gating_macs
    last = Step(
        "deepmoe",
        {**spec.trained_on(), "seed": spec.seed, "model": config.model_dump(mode="json"),
         **_how("deepmoe", asked.recipe)},
        partial(_make_jointly, asked), (plain_steps(spec).base,) if config.start == "plain" else (), label,
        asked.recipe.epochs * BACKWARD * train * macs, asked.recipe.epochs,
    )  # fmt: skip
    if asked.recipe_two:
        last = Step(
            "deepmoe-frozen", _how("deepmoe-frozen", asked.recipe_two), partial(_make_frozen, asked), (last,),
            f"{label}, gates frozen", asked.recipe_two.epochs * BACKWARD * train * macs, asked.recipe_two.epochs,
        )  # fmt: skip
    return Step(
        "predictions",
        {**spec.evaluated_on(), "revision": REVISIONS["predictions"]},
        partial(_make_predictions, asked), (last,), f"predictions of {label}", FORWARD * test * macs,
    )  # fmt: skip


def _how(kind: str, recipe: Recipe) -> dict[str, Any]:
    return {"recipe": recipe.settings, "revision": REVISIONS[kind]}


NAMED = {"family", "backbone", "width", "num_classes", "image_size", "lam", "mu"}


def _label(asked: Asked) -> str:
    """With the choices that are not at their default."""
    config, spec = asked.model, asked.spec
    how = f"width {config.width:g}, λ {config.lam:g}, μ {config.mu:g}" + ("" if asked.recipe_two else ", never frozen")
    how += "".join(f", {name} {each}" for name, each in config.model_dump(exclude_defaults=True, exclude=NAMED).items())
    how += "".join(f", {each.match} at {each.rate:g} rate, {each.decay:g} decay" for each in asked.recipe.groups)
    return f"DeepMoE {config.backbone} at {how}, on {spec.data}, seed {spec.seed}"


STAGE_TWO = 80 / 350


def two_stages(whole: Recipe) -> tuple[Recipe, Recipe]:
    """A recipe as Procedure 1's two stages, of as many epochs together; at least one each.

    A schedule of steps goes on where it is; any other runs whole in stage one, and once more from a tenth of its
    rate in stage two (the text does not say).
    """
    second = max(1, round(whole.epochs * STAGE_TWO))
    first = max(1, whole.epochs - second)
    steps = tuple(m * whole.epochs / first for m in whole.milestones if m * whole.epochs < first)
    one: dict[str, Any] = {"epochs": first, "milestones": steps}
    two: dict[str, Any] = {"epochs": second, "milestones": (), "schedule": "cosine",
                           "learning_rate": 0.1 * whole.learning_rate}  # fmt: skip
    if whole.schedule == "multistep":
        two |= {"schedule": "constant", "learning_rate": whole.learning_rate_at(first / whole.epochs)}
    return whole.model_copy(update=one), whole.model_copy(update=two)


def load(asked: Asked, artifact: Artifact) -> DeepMoE:
    """The trained model."""
    model = build(asked.model)
    model.load_state_dict(artifact.tensors)
    return model


def _make_jointly(asked: Asked, context: Context, inputs: Inputs) -> Artifact:
    spec, config = asked.spec, asked.model
    plain = None
    if config.start == "plain":
        plain = build_backbone(config.backbone, config.num_classes, config.width)
        plain.load_state_dict(inputs["base"].tensors)
    with seeded_init(derive(spec.seed, "deepmoe"), "initial weights"):
        model = build(config, plain)
    source = context.sources.batches(spec, "train", asked.recipe.augmentation)
    history = train_jointly(
        model, config, asked.recipe, source, context.device, derive(spec.seed, "deepmoe"), inputs.checkpoint,
        inputs.report,
    )  # fmt: skip
    return trained(model, history)


def _make_frozen(asked: Asked, context: Context, inputs: Inputs) -> Artifact:
    assert asked.recipe_two
    model = load(asked, inputs["deepmoe"])
    source = context.sources.batches(asked.spec, "train", asked.recipe_two.augmentation)
    seed = derive(asked.spec.seed, "deepmoe", "gates frozen")
    history = train_with_gates_frozen(
        model, asked.recipe_two, source, context.device, seed, inputs.checkpoint, inputs.report
    )
    return trained(model, history)


def _make_predictions(asked: Asked, context: Context, inputs: Inputs) -> Artifact:
    model = load(asked, inputs.load(*inputs.step.needs))
    augmentation = asked.recipe.augmentation
    tensors = predict(model, context.sources.batches(asked.spec, "evaluation", augmentation), context.device)
    return Artifact({**tensors, "macs": deepmoe_cost(asked.model).macs(tensors["gates"])})
