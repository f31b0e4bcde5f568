"""The drawing of the method: one for each step and theme, the same bytes each time."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from repro.report.drawing import PARTS, STEPS, THEMES, save_drawings

SVG = "{http://www.w3.org/2000/svg}"


def test_each_step_in_each_theme_without_a_ground_and_the_same_each_time(tmp_path: Path) -> None:
    first, again = save_drawings(tmp_path / "a"), save_drawings(tmp_path / "b")
    assert {p.stem for p in first} == {f"drawing_{step}_{theme}" for step in STEPS for theme in THEMES}
    for path, other in zip(first, again, strict=True):
        assert path.read_bytes() == other.read_bytes()
        ground = ElementTree.parse(path).getroot().find(f".//{SVG}g[@id='patch_1']/{SVG}path")
        assert ground is None or "fill: none" in ground.attrib["style"] or "opacity: 0" in ground.attrib["style"]


def test_a_part_is_drawn_in_its_own_colour_of_the_theme(tmp_path: Path) -> None:
    drawn = {path.stem: path.read_text().lower() for path in save_drawings(tmp_path)}
    for name, theme in THEMES.items():
        assert set(theme.colours) == set(PARTS)
        assert all(colour.lower() in drawn[f"drawing_method_{name}"] for colour in theme.colours.values())
    assert drawn["drawing_method_light"] != drawn["drawing_gate_light"]
    assert all(set(step.lit) <= set(PARTS) and len(step.words) > 40 for step in STEPS.values())
