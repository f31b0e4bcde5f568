"""The API reference: every name is there, and docstrings become what Sphinx can read."""

from typing import Literal

from pydantic import BaseModel, Field

from repro.report.api import ROOMS, as_rest, fields_of, named, names_of, pages


def test_every_name_of_the_reference_is_there_and_on_its_page() -> None:
    told = pages()
    for room in ROOMS:
        page = told[f"api/{room.name or 'common'}"]
        for name in names_of(room):
            assert named(name) is not None and f":: {name}\n" in page
    assert named("repro.method.routing.gone") is None and named("repro.gone") is None


def test_an_aligned_table_becomes_definitions() -> None:
    text = "Do it.\n\nshare  of every image\n``how``    this way\n           and that\n\nRaises nothing."
    assert as_rest(text.split("\n")) == [
        "Do it.", "", "``share``", "    of every image", "``how``", "    this way", "    and that", "", "",
        "Raises nothing.",
    ]  # fmt: skip


def test_drawings_and_strokes_are_kept() -> None:
    assert as_rest(["    a --> b |x|"]) == ["::", "", "    a --> b |x|"]
    assert as_rest(["the mean |x| of ``p(k|x)``"]) == ["the mean \\|x\\| of ``p(k|x)``"]
    assert as_rest(["a  b", "no continuation"]) == ["a  b", "no continuation"]


class Small(BaseModel):
    """Of the test alone."""

    epochs: int = Field(description="how long")
    width: float = 0.5
    kind: Literal["soft", "hard"] | None = None


def test_the_fields_of_a_value_are_listed() -> None:
    assert fields_of(Small) == [
        "``epochs``", "    ``int``: how long", "``width = 0.5``", "    ``float``",
        "``kind = None``", "    ``Optional[Literal['soft', 'hard']]``",
    ]  # fmt: skip
