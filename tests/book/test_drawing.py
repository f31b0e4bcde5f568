"""The drawing has the parts that are lit, and words for those who do not see it."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from repro.book.drawing import PARTS, STEPS, drawing

SVG = (Path(__file__).parents[2] / "book" / "_static" / "method.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", STEPS)
def test_the_parts_of_a_step_are_lit_and_the_others_faint(name: str) -> None:
    (svg,) = ElementTree.fromstring(drawing(name, SVG))
    assert svg.attrib["aria-label"] == STEPS[name].words
    groups = {group.attrib["class"] for group in svg if "class" in group.attrib}
    assert groups == {part if part in STEPS[name].lit else f"{part} faint" for part in PARTS}
