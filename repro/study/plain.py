"""Plain networks in steps: the base that a mixture rests on, and the controls that mixtures are held against."""

from __future__ import annotations

from functools import cache, partial
from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from repro.data.augment import Augmentation
from repro.models.backbone import Backbone
from repro.models.cost import model_cost
from repro.models.registry import Start, build_backbone, freeze, with_weights
from repro.models.trnet import BLOCKS_PER_STAGE
from repro.randomness import derive, seeded_init
from repro.study.artifact import Artifact, trained
from repro.study.graph import BACKWARD, FORWARD, Context, Goal, Inputs, Step
from repro.study.image_set import ImageSet
from repro.training.classifier import on_all_images, train_base
from repro.training.recipe import Recipe

REVISIONS = {"base": 1, "base-predictions": 1}  # raised when code comes to make other numbers than before


class PlainSpec(ImageSet):
    """One plain network: what it is, what it is trained on, how, and from which seed."""

    base: str = Field(description="a tr-network or one of torchvision's, which NAME@STAGE cuts after a stage")
    width: float = Field(1.0, gt=0, le=8, description="width multiplier of tr-networks, base and experts")
    pretrained: bool = Field(False, description="take the base off the shelf (torchvision's weights)")
    start: Start = Field(
        "scratch", description="imagenet: the base's training begins at torchvision's weights, with a new last layer"
    )
    base_recipe: Recipe
    role: Literal["base", "control"] = Field(
        "base", description="control: a plain network to hold a mixture against, drawn apart from every base"
    )
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _weights_exist(self) -> PlainSpec:
        if (self.pretrained or self.start == "imagenet") and self.base in BLOCKS_PER_STAGE:
            raise ValueError(f"there are no pretrained weights of {self.base}; set pretrained to false")
        return self

    @property
    def plain(self) -> PlainSpec:
        """The plain network alone of a larger spec."""
        return PlainSpec(**{name: getattr(self, name) for name in PlainSpec.model_fields})

    @property
    def base_seed(self) -> int:
        """The seed of all that is drawn while the network is trained."""
        return derive(self.seed, "control") if self.role == "control" else self.seed

    @property
    def base_label(self) -> str:
        """E.g. ``base tr18``, or ``control tr10 at width 0.5 of 60 epochs``."""
        if self.role == "base":
            return f"base {self.base}"
        return f"control {self.base} at width {self.width:g} of {self.base_recipe.epochs} epochs"


class PlainSteps(NamedTuple):
    """The steps of one plain network."""

    base: Step
    predictions: Step


def plain_goal(spec: PlainSpec | str) -> Goal:
    """The predictions of a plain network (or of its JSON), or of a larger spec's base alone."""
    asked = spec.plain if isinstance(spec, PlainSpec) else PlainSpec.model_validate_json(spec)
    name = asked.base if asked.role == "base" else asked.base_label
    label = f"{name} on {asked.data} alone, seed {asked.seed}"
    return Goal(label, (plain_steps(asked).predictions,), f"{__name__}:plain_goal", asked.model_dump_json())


@cache
def plain_steps(spec: PlainSpec) -> PlainSteps:
    """What a plain network, or a larger spec's base alone, is made of."""
    train, test = spec.num_images
    macs = model_cost(spec.base, None, spec.num_classes, spec.image_size, 0, spec.width).base_macs
    net = {"base": spec.base, "width": spec.width, "pretrained": spec.pretrained, "start": spec.start}
    training = {} if spec.pretrained else {"seed": spec.seed, "role": spec.role, "recipe": spec.base_recipe.settings}
    epochs = 0 if spec.pretrained else spec.base_recipe.epochs
    base = Step(
        "base", {**spec.trained_on(), **net, **training, "revision": REVISIONS["base"]}, partial(_make_base, spec),
        label=f"{spec.base_label} on {spec.data}, seed {spec.seed}", work=epochs * BACKWARD * (train * macs),
        epochs=epochs,
    )  # fmt: skip
    predictions = Step(
        "base-predictions", {**spec.evaluated_on(), "revision": REVISIONS["base-predictions"]},
        partial(_make_predictions, spec), (base,), f"predictions of {base.label}", FORWARD * test * macs,
    )  # fmt: skip
    return PlainSteps(base, predictions)


def load_base(spec: PlainSpec, artifact: Artifact) -> Backbone:
    """The trained network of an artifact, frozen."""
    return freeze(with_weights(lambda: build_backbone(spec.base, spec.num_classes, spec.width), artifact.tensors))


def _make_base(spec: PlainSpec, context: Context, inputs: Inputs) -> Artifact:
    """The base model φ of Algorithm 1's step 1: trained, or taken off the shelf."""
    with seeded_init(spec.base_seed, "base", spec.base):
        base = build_backbone(spec.base, spec.num_classes, spec.width, spec.pretrained, spec.start)
    if spec.pretrained:
        return Artifact(base.state_dict())
    source = context.sources.batches(spec, "train", spec.base_recipe.augmentation)
    history = train_base(
        base, source, spec.base_recipe, spec.base_seed, context.device, inputs.checkpoint, inputs.report
    )
    return trained(base, history)


def _make_predictions(spec: PlainSpec, context: Context, inputs: Inputs) -> Artifact:
    """Logits ``[N, C]`` of the network on the evaluation set, and labels ``[N]``."""
    source, base = context.sources.batches(spec, "evaluation", Augmentation()), load_base(spec, inputs["base"])
    (logits,) = on_all_images(base, source, context.device, lambda batch: (base(batch.images).float(),))
    return Artifact({"logits": logits, "labels": source.labels.cpu()})
