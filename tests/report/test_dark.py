"""A figure on a dark page: what was seen on white is seen there."""

import re

import pytest

from repro.report.dark import CONTRAST, GROUND, INK, contrast, dark, on_dark, parse
from repro.report.plots import COLOURS, MODELS, PALETTE


def test_white_is_the_ground_and_black_is_light() -> None:
    assert on_dark("#ffffff") == GROUND
    assert contrast(parse(on_dark("#000000")), parse(GROUND)) > 7


@pytest.mark.parametrize("colour", sorted({*COLOURS.values(), *PALETTE, *MODELS.values()} - {"#999999"}))
def test_every_colour_of_the_figures_is_seen_on_the_dark_ground(colour: str) -> None:
    """As text would have to be; the palest grey is for lines, and ends as dark as it was light."""
    assert contrast(parse(on_dark(colour)), parse(GROUND)) >= CONTRAST - 0.1


def test_colours_that_tell_models_apart_stay_apart() -> None:
    turned = {name: on_dark(colour) for name, colour in MODELS.items()}
    assert len(set(turned.values())) == len(turned)


def test_pale_tints_turn_dark_so_that_light_words_can_be_read_on_them() -> None:
    assert contrast(parse(on_dark("#e6f2ff")), parse(on_dark("#000000"))) >= CONTRAST


def test_what_has_no_colour_is_no_longer_black() -> None:
    turned = dark('<svg xmlns="x" width="1"><path d="M0 0"/><image href="data:image/png;base64,AB#cdef"/></svg>')
    assert re.search(rf'<svg fill="{INK}" xmlns="x"', turned)
    assert "base64,AB#cdef" in turned  # pictures are left as they are
    assert dark('<svg fill="#ffffff"/>') == f'<svg fill="{GROUND}"/>'
