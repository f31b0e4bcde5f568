"""A figure for a dark page: the same picture, its greys turned over and its colours kept."""

from __future__ import annotations

import colorsys
import re

GROUND, INK = "#121212", "#ced6dd"
"""The book's background and text in dark mode."""

CONTRAST = 4.5
"""WCAG's ratio for text; colours below it on the dark ground are mixed with white until they reach it."""

COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")

Channels = tuple[float, float, float]


def dark(svg: str) -> str:
    """An SVG drawn for a white page, for a dark one: white becomes the ground, black the ink, greys and pale tints
    lie between them in turn, and the colours that tell things apart stay what they are.

    What has no colour is black in SVG, hence the fill of the root.
    """
    turned = COLOUR.sub(lambda found: on_dark(found.group()), svg)
    return re.sub(r"<svg\b(?![^>]*\sfill=)", f'<svg fill="{INK}"', turned, count=1)


def on_dark(colour: str) -> str:
    """The counterpart of a colour ``#rrggbb`` on the dark ground."""
    channels = parse(colour)
    is_grey = max(channels) - min(channels) < 0.06
    is_pale = min(channels) > 0.75
    if is_grey or is_pale:
        hue, lightness, saturation = colorsys.rgb_to_hls(*channels)
        ground, ink = (colorsys.rgb_to_hls(*parse(end))[1] for end in (GROUND, INK))
        return text(colorsys.hls_to_rgb(hue, ink + lightness * (ground - ink), 0.0 if is_grey else saturation / 2))
    while contrast(channels, parse(GROUND)) < CONTRAST:
        channels = (channels[0] * 0.95 + 0.05, channels[1] * 0.95 + 0.05, channels[2] * 0.95 + 0.05)
    return text(channels)


def contrast(one: Channels, other: Channels) -> float:
    """WCAG's contrast ratio of two colours, 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(channels: Channels) -> float:
    """WCAG's relative luminance of sRGB channels in 0..1."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def parse(colour: str) -> Channels:
    """``#rrggbb`` as channels in 0..1."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red / 255, green / 255, blue / 255


def text(channels: Channels) -> str:
    """Channels in 0..1 as ``#rrggbb``."""
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)
