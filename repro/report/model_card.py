"""A trained mixture for others: exported from the store, with a model card whose numbers nobody typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import Tensor

from repro.analysis.anytime import answers
from repro.analysis.outputs import Outputs, percent
from repro.data.augment import Augmentation
from repro.data.catalogue import DATASETS
from repro.errors import ReproError
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.envelope import choices, held_parts
from repro.families.single_gate.export import Config, check_folder, save
from repro.families.single_gate.onnx_form import OnnxMoE, Precision, graphs
from repro.families.single_gate.steps import steps
from repro.families.single_gate.study import SingleGateParameters, Study
from repro.progress import duration
from repro.study.graph import ordered
from repro.study.parameters import Parameters
from repro.study.sources import shorter_side
from repro.training.device import pick_device

TAUS = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""The thresholds of a card's table: fixed, so that nothing in it was chosen."""
CALIBRATED = 256
"""So many images, spread over the training set, give graphs in int8 their ranges."""


def export_asked(name: str, asked: Parameters, out: Path | None = None, onnx: Precision | None = None) -> Path:
    """Export the model that ``repro run NAME`` with these parameters trained; returns its folder.

    :class:`ReproError` if they ask for several models, or for one that is not in the store.
    """
    if not isinstance(asked, SingleGateParameters):
        raise ReproError(f"{name} trains no single-gate mixture; export one of another exhibit")
    specs = list({steps(spec).predictions: spec for spec in asked.specs()}.values())
    if len(specs) != 1:
        models = "; ".join(f"{spec.pair}, {spec.num_experts} experts, seed {spec.seed}" for spec in specs[:8])
        raise ReproError(f"{name} with these parameters is {len(specs)} models ({models}); narrow it to one with -p")
    study = Study(specs, asked.root, pick_device(asked.device))
    slack = getattr(asked, "slack", None)
    return export(study, specs[0], out, asked.command(name), slack, asked.command(name, here=True), onnx)


def export(
    study: Study, spec: StudySpec, out: Path | None = None, command: str = "", slack: float | None = None,
    here: str = "", onnx: Precision | None = None,
) -> Path:  # fmt: skip
    """Write a trained model to ``out``, or ``<root>/exports/<name>``; returns the folder.

    ``command`` is what trained it, and ``here`` what would on this machine, where it differs; ``slack`` as in
    :func:`repro.families.single_gate.envelope.choices`, of a folder; with ``onnx`` its graphs are written as well,
    in int8 with ranges from :data:`CALIBRATED` training images.
    :class:`ReproError` if a part of it is not in the store.
    """
    needed = ordered([steps(spec).predictions])
    if absent := [step.label for step in needed if not study.store.has(step)]:
        more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        how = f"; `{here or command}` trains it" if here or command else ""
        raise ReproError(f"the {absent[0]}{more} is not in {study.store.folder}{how}")
    about = study.sources.about(spec)
    outputs, cost = study.outputs(spec), spec.cost
    made = [study.runner.about(step)["made"] for step in needed]
    facts: dict[str, Any] = {
        "data": data_facts(spec),
        "spec": spec.model_dump(mode="json"),
        "command": command,
        "cost": {"base_macs": cost.base_macs, "macs": cost.macs, "params": cost.base_params + cost.gate_params
                 + spec.num_experts * cost.expert_params, "params_inference": cost.params_inference},
        "test": reported(spec, outputs),
        "chosen": [c._asdict() for c in choices(spec, outputs, slack)] if slack is not None else [],
        "slack": slack,
        "onnx": {},
        "made": {"base": made[0], "outputs": made[-1]},
        "seconds": round(sum(each["seconds"] for each in made), 1),
        "artifacts": {step.label: f"{step.kind}/{step.key}" for step in needed},
    }  # fmt: skip
    config = Config(
        base=spec.base, expert=spec.expert, width=spec.width, num_experts=spec.num_experts,
        classes=about.class_names, image_size=spec.image_size, shorter_side=shorter_side(spec), mean=about.mean,
        std=about.std, about=facts,
    )  # fmt: skip
    data = f"{spec.data}-{spec.folder.digest[:6]}" if spec.folder else spec.data  # folders may share a name
    name = f"{data}-{spec.pair}-{spec.num_experts}-seed{spec.seed}".replace("@", "-")
    folder, moe, networks = check_folder(out or study.root / "exports" / name), study.moe(spec), {}
    if onnx:
        images = study.sources.batches(spec, "train", Augmentation())
        calibration = next(images.clean(CALIBRATED, spread(len(images), CALIBRATED)))
        networks = graphs(moe, calibration.images.cpu(), onnx)
        onnx_outputs = OnnxMoE(config, networks).outputs(study.sources.batches(spec, "evaluation", Augmentation()))
        config = config.model_copy(update={"about": {**facts, "onnx": {onnx: reported(spec, onnx_outputs)}}})
    return save(folder, moe, config, model_card(config), networks)


def spread(number: int, wanted: int) -> Tensor:
    """Which of ``number`` images are taken, bool ``[number]``: evenly, as some sets lie class by class."""
    chosen = torch.zeros(number, dtype=torch.bool)
    chosen[torch.linspace(0, number - 1, wanted).long()] = True
    return chosen


def reported(spec: StudySpec, outputs: Outputs) -> dict[str, Any]:
    """What the model does on the images that results are reported on (of a folder, its test part)."""
    own = answers(outputs)
    rows = held_parts(spec)[1] if spec.folder else slice(None)

    def rounded(of: Tensor) -> float:
        return round(percent(of[rows]), 2)

    return {
        "images": len(outputs.labels[rows]),
        "base_top1": rounded(own.right[:, 0]),
        "one_expert_top1": rounded(own.right[:, 1]),
        "anytime": [
            {"tau": tau, "top1": rounded(own.right_with(used)), "exits": rounded(used == 0),
             "macs": round(float(spec.cost.anytime_macs(used)[rows].double().mean()))}
            for tau, used in ((tau, own.used(tau)) for tau in TAUS)
        ],
    }  # fmt: skip


def data_facts(spec: StudySpec) -> dict[str, Any]:
    """What is known of the images, in words and numbers."""
    if spec.folder:
        return {"name": spec.folder.name, "kind": "a folder of images", **spec.folder.model_dump(exclude={"name"}),
                "terms": ""}  # fmt: skip
    card = DATASETS[spec.dataset]
    train, test = spec.num_train or card.num_train, spec.num_test or card.num_test
    return {"name": spec.dataset, "kind": card.source, "num_classes": card.classes, "num_train": train,
            "num_test": test, "num_validation": None, "digest": None, "terms": card.terms}  # fmt: skip


def model_card(config: Config) -> str:
    """What it is, how to use it, what it does on test images, what it was trained on, how, and under what terms.

    Every number is one of ``config``, and one that is missing is an error.
    """
    loader = PackageLoader("repro.report", ".")
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters |= {
        "millions": lambda count: f"{count / 1e6:.1f}",
        "two": lambda value: f"{value:.2f}",
        "duration": duration,
    }
    experts = "1 expert" if config.num_experts == 1 else f"{config.num_experts} experts"
    return environment.get_template("model_card.md.j2").render(c=config, experts=experts, **config.about)
