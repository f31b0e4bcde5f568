"""What each scale is, as a table made of the scales themselves."""

from __future__ import annotations

from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import SCALES, default_spec
from repro.report.numbers import DATASETS
from repro.report.tables import Captioned, frame_of_rows


def scales_table() -> Captioned:
    """Networks, images and lengths of training of every scale and image set."""
    rows = {
        f"{scale}: {DATASETS[dataset]}": _cells(default_spec(scale, dataset))
        for scale, sets in SCALES.items()
        for dataset in sets
    }
    caption = (
        "What each scale trains, unless a chapter says otherwise. Epochs are those of the base model, of each expert, "
        "and of the gate; a base taken off the shelf trains for none."
    )
    return Captioned(frame_of_rows(rows), caption)


def _cells(spec: StudySpec) -> dict[str, str]:
    width = "" if spec.width == 1 else f", {spec.width:g} of the width"
    return {
        "base and experts": f"{spec.base if spec.base == spec.expert else spec.pair}{width}",
        "pixels": str(spec.image_size),
        "classes": str(spec.num_classes),
        "base epochs": "off the shelf" if spec.pretrained else str(spec.base_recipe.epochs),
        "expert epochs": str(spec.expert_recipe.epochs),
        "gate epochs": str(spec.gate_recipe.epochs),
    }
