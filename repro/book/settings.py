"""What each scale is, as a table made of the scales themselves."""

from __future__ import annotations

from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import SCALES, default_spec
from repro.report.numbers import DATASETS
from repro.report.tables import Captioned, Columns, frame


def scales_table() -> Captioned:
    """Networks, images and lengths of training of every scale and image set."""
    columns: Columns = {}
    labels = []
    for scale, sets in SCALES.items():
        for dataset in sets:
            labels.append(f"{scale}: {DATASETS[dataset]}")
            for column, cell in _cells(default_spec(scale, dataset)).items():
                columns.setdefault(column, []).append(cell)
    caption = (
        "What each scale trains, unless a chapter says otherwise. Epochs are those of the base model, of each expert, "
        "and of the gate; a base taken off the shelf trains for none."
    )
    return Captioned(frame(columns, labels), caption)


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
