"""The spec of a study: a frozen, validated value from which everything follows.

Each artifact is keyed by the part of the spec that it depends on and by nothing else, so the base
model of Table 2 is the base model of every other table, trained once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from repro.data.fingerprint import Images
from repro.data.folders import Folder
from repro.errors import SpecError
from repro.method.experts import Sharing, TrunkBatchNorm
from repro.method.recipe import Recipe
from repro.method.routing import Routing
from repro.models.backbone import check_joins
from repro.models.registry import ExpertInit, Start, build_backbone, build_head
from repro.models.trnet import BLOCKS_PER_STAGE
from repro.randomness import derive

Model = TypeVar("Model", bound=BaseModel)
DatasetName = Literal["modes", "cifar10", "cifar100", "tiny-imagenet", "imagenet", "folder"]
NUM_CLASSES = {"modes": 20, "cifar10": 10, "cifar100": 100, "tiny-imagenet": 200, "imagenet": 1000}

# Raised by hand when the code that makes a kind of artifact changes its numbers; part of its key. A test holds
# whoever changes that code to it (see repro.study.revisions).
REVISIONS = {"base": 1, "gate": 2, "expert": 2, "ensembler": 2, "outputs": 1, "losses": 1, "base-outputs": 1}

# Fields that came later: at these values they are no part of a key, so what was trained before keeps its key.
LATER = {
    "level": "per-sample", "trunk_batchnorm": "evaluation", "folder": None, "start": "scratch", "role": "base",
}  # fmt: skip


class StudySpec(BaseModel):
    """One single-gate MoE: what is trained, on what, how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: DatasetName
    folder: Folder | None = Field(None, description="dataset folder: which one, by its content")
    image_size: int = Field(ge=16, description="side of the images in pixels")
    num_train: int | None = Field(None, description="modes only: a smaller training set")
    num_test: int | None = Field(None, description="modes only: a smaller test set")
    evaluate: Literal["test", "validation"] = Field(
        "test", description="validation: train on 90 % of the training set and report on the rest, for tuning"
    )
    base: str = Field(description="a tr-network or one of torchvision's, which NAME@STAGE cuts after a stage")
    expert: str = Field(description="depth of the experts, in the same names")
    width: float = Field(1.0, gt=0, le=4, description="width multiplier of tr-networks, base and experts")
    pretrained: bool = Field(False, description="take the base off the shelf (torchvision's weights)")
    start: Start = Field(
        "scratch", description="imagenet: the base's training begins at torchvision's weights, with a new last layer"
    )
    num_experts: int = Field(1, ge=1, le=1024, description="K; 1 is the ensembling baseline")
    routing: Routing = Routing()
    gamma: float = Field(0.05, ge=0, le=1, description="smoothing γ: Γ(g0) = clip(g0, γ, 1)")
    sharing: Sharing = Field("sampling", description="smoothed weights as sampling probabilities, or as loss weights")
    expert_init: ExpertInit = Field("prefix", description="what experts take from the base where depths differ")
    trunk_batchnorm: TrunkBatchNorm = Field(
        "evaluation", description="BatchNorm of the frozen trunk while experts train: running or batch statistics"
    )
    em_steps: int = Field(0, ge=0, le=10, description="N_E of the EM variant (Section 2.2); 0 is Algorithm 1")
    stacking: bool = Field(False, description="also train stacking ensemblers")
    base_recipe: Recipe
    gate_recipe: Recipe
    expert_recipe: Recipe
    ensembler_recipe: Recipe
    role: Literal["base", "control"] = Field(
        "base", description="control: a plain network to hold a mixture against, drawn apart from every base"
    )
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _parts_exist(self) -> StudySpec:
        if self.dataset == "imagenet" and self.evaluate == "validation":
            raise ValueError("evaluate: imagenet is streamed and has no held-out part yet; choose test")
        if self.dataset != "modes" and (self.num_train is not None or self.num_test is not None):
            raise ValueError(f"num_train, num_test: only modes can be made smaller, not {self.dataset}")
        return self

    @model_validator(mode="after")
    def _folder_fits(self) -> StudySpec:
        if (self.dataset == "folder") != (self.folder is not None):
            raise ValueError("folder: dataset folder, and no other, needs one that repro.data.folders.adopt gave")
        if self.folder and self.evaluate == "validation":
            raise ValueError("evaluate: a folder has a validation part beside the test images anyway; choose test")
        batch = max(self.base_recipe.batch_size, self.expert_recipe.batch_size)
        if self.folder and batch > self.folder.num_train:
            raise ValueError(
                f"batch_size: {batch} is more than the {self.folder.num_train} training images of {self.folder.name}"
            )
        return self

    @model_validator(mode="after")
    def _networks_exist_and_join(self) -> StudySpec:
        _check_networks(self.base, self.expert, self.num_classes, self.width)
        if (self.pretrained or self.start == "imagenet") and self.base in BLOCKS_PER_STAGE:
            raise ValueError(f"there are no pretrained weights of {self.base}; set pretrained to false")
        return self

    @property
    def num_classes(self) -> int:
        """C."""
        return self.folder.num_classes if self.folder else NUM_CLASSES[self.dataset]

    @property
    def data(self) -> str:
        """What the images are called: the dataset's name, or the folder's."""
        return self.folder.name if self.folder else self.dataset

    @property
    def pair(self) -> str:
        """``base-expert``, e.g. ``tr18-tr10``."""
        return f"{self.base}-{self.expert}"

    def seed_for(self, purpose: Literal["base", "gate", "experts", "ensemblers"]) -> int:
        """The seed of all that is drawn while this is trained: each purpose, and each round of EM, draws its own.

        Under one seed experts would be shown the batches of the base's first epochs once more, augmented alike.
        """
        if purpose == "base":
            return derive(self.seed, "control") if self.role == "control" else self.seed
        return derive(self.seed, purpose, self.em_steps)

    def before_em_step(self) -> StudySpec:
        """The spec of one E-step less: where this one's posterior comes from."""
        return self.model_copy(update={"em_steps": self.em_steps - 1})

    def with_(self, **changes: Any) -> StudySpec:
        """A validated copy with some fields changed; :class:`SpecError` names the field that is wrong."""
        return validated(StudySpec, {**self.model_dump(), **changes})


@cache
def _check_networks(base: str, expert: str, num_classes: int, width: float) -> None:
    """Once for each combination: specs are copied many times over, and building networks takes a while."""
    import torch

    with torch.device("meta"):
        check_joins(build_backbone(base, num_classes, width), build_head(expert, num_classes, width))


def validated(model: type[Model], values: dict[str, Any]) -> Model:
    """``model(**values)``, with pydantic's findings turned into one sentence that names fields and choices."""
    try:
        return model(**values)
    except ValidationError as error:
        known = ", ".join(model.model_fields)
        lines = []
        for finding in error.errors():
            field = ".".join(str(part) for part in finding["loc"])
            if finding["type"] == "extra_forbidden":
                lines.append(f"there is no field {field!r} (there are: {known})")
            elif finding["type"] == "missing":
                lines.append(f"{field} is missing")
            else:
                lines.append(f"{field}: {finding['msg'].lower()}, not {finding['input']!r}".lstrip(": "))
        raise SpecError("; ".join(lines)) from error


@dataclass(frozen=True)
class Key:
    """What an artifact is known by: its kind and everything that its content depends on.

    images  the images that it rests on; their fingerprint is checked on load and is no part of the hash
    """

    kind: str
    depends_on: dict[str, Any]
    label: str
    images: tuple[Images, ...] = ()

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the SHA-256 of kind and dependencies in canonical JSON (the label is no part of it)."""
        return digest({"kind": self.kind, **self.depends_on})


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a value in canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(exclude={"source"})


def _training_images(spec: StudySpec) -> tuple[Images, ...]:
    """What everything is trained on (or on a part of it, under ``validation``); a folder's digest is in the hash."""
    return () if spec.folder else (Images(spec.dataset, "train", spec.image_size),)


def _evaluated_images(spec: StudySpec) -> tuple[Images, ...]:
    """What a model was trained on, and what it is asked about."""
    asked = Images(spec.dataset, "test" if spec.evaluate == "test" else "train", spec.image_size)
    return () if spec.folder else tuple(dict.fromkeys((*_training_images(spec), asked)))


def base_key(spec: StudySpec) -> Key:
    """The base model: data, network, recipe, seed."""
    data = {"dataset": spec.dataset, "image_size": spec.image_size, "num_train": spec.num_train}
    data |= _without_later({"folder": spec.folder.digest if spec.folder else None})
    net = {"base": spec.base, "width": spec.width, "pretrained": spec.pretrained}
    part = "all" if spec.evaluate == "test" else "fit"
    training = {} if spec.pretrained else {"recipe": _recipe(spec.base_recipe), "seed": spec.seed}
    training |= _without_later({"start": spec.start, "role": spec.role})
    return Key(
        "base",
        {**data, "trained_on": part, **net, **training, "revision": REVISIONS["base"]},
        f"{_plain_name(spec)} on {spec.data}, seed {spec.seed}",
        () if spec.pretrained else _training_images(spec),
    )


def _plain_name(spec: StudySpec) -> str:
    if spec.role == "base":
        return f"base {spec.base}"
    return f"control {spec.base} at width {spec.width:g} of {spec.base_recipe.epochs} epochs"


def base_outputs_key(spec: StudySpec) -> Key:
    """What the base model alone says of the evaluation set: all that a plain backbone of Table 1 needs."""
    what = {"evaluate": spec.evaluate, "num_test": spec.num_test, "revision": REVISIONS["base-outputs"]}
    return Key(
        "base-outputs",
        {"base": base_key(spec).hash, **what},
        f"outputs of {base_key(spec).label}",
        _evaluated_images(spec),
    )


def _without_later(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if LATER.get(name) != value}


def gate_key(spec: StudySpec) -> Key:
    """Centroids, initial gate g0 and trained gate g; after an E-step, the posterior in place of g0."""
    routing = _without_later(spec.routing.model_dump())
    parts = {"base": base_key(spec).hash, "routing": routing, "num_experts": spec.num_experts, "seed": spec.seed}
    if spec.em_steps:
        parts["posterior"] = losses_key(spec.before_em_step()).hash
    parts |= {"recipe": _recipe(spec.gate_recipe), "revision": REVISIONS["gate"]}
    return Key("gate", parts, f"gate of {spec.num_experts}{_about(spec)}", _training_images(spec))


def expert_key(spec: StudySpec, k: int) -> Key:
    """Expert k of K."""
    how = {"gamma": spec.gamma, "sharing": spec.sharing, "init": spec.expert_init, "seed": spec.seed}
    what = {"gate": gate_key(spec).hash, "k": k, "expert": spec.expert}
    later = _without_later({"trunk_batchnorm": spec.trunk_batchnorm})
    if spec.em_steps:  # goes on from the expert before the E-step
        later["before"] = expert_key(spec.before_em_step(), k).hash
    parts = {**what, **how, **later, "recipe": _recipe(spec.expert_recipe), "revision": REVISIONS["expert"]}
    return Key("expert", parts, f"expert {k + 1} of {spec.num_experts}{_about(spec)}", _training_images(spec))


def _about(spec: StudySpec) -> str:
    step = f" after E-step {spec.em_steps}" if spec.em_steps else ""
    return f"{step}, seed {spec.seed}"


def ensembler_key(spec: StudySpec, k: int) -> Key:
    """The stacking ensembler of expert k."""
    parts = {"expert": expert_key(spec, k).hash, "recipe": _recipe(spec.ensembler_recipe)}
    label = f"ensembler {k + 1} of {spec.num_experts}{_about(spec)}"
    return Key("ensembler", {**parts, "revision": REVISIONS["ensembler"]}, label, _training_images(spec))


def _model_parts(spec: StudySpec) -> dict[str, Any]:
    return {"gate": gate_key(spec).hash, "experts": [expert_key(spec, k).hash for k in range(spec.num_experts)]}


def outputs_key(spec: StudySpec) -> Key:
    """What the whole model says of the evaluation set."""
    what = {"evaluate": spec.evaluate, "num_test": spec.num_test, "revision": REVISIONS["outputs"]}
    label = f"outputs of {spec.num_experts} experts{_about(spec)}"
    return Key("outputs", {**_model_parts(spec), **what}, label, _evaluated_images(spec))


def losses_key(spec: StudySpec) -> Key:
    """Loss of the base and of every expert on the training images."""
    parts = {**_model_parts(spec), "revision": REVISIONS["losses"]}
    return Key("losses", parts, f"training losses of {spec.num_experts} experts{_about(spec)}", _training_images(spec))
