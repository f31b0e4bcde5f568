"""``modes``: the embedded image set, made in seconds, whose intra-class modes are known.

Every image shows a *scene* (palette, stripes, a large shape) with a small *glyph* somewhere in it.
A mode is a (scene, glyph) pair; a class is made of 2-4 modes in different scenes, so that its
images look nothing alike, while modes of other classes share each scene and differ only by their
glyph. The same glyph means another class in another scene. So visual clusters cut across classes
(what Figure 3 shows for king penguins), a per-class routing cannot follow them, and an expert that
sees one scene has an easier task than the base, which must learn every (scene, glyph) pair.

All arithmetic is on integers (no sine, no Gaussian), so the bytes are the same on every machine.
Axes: N images, S = 32 pixels a side, M modes, C classes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from repro.data.dataset import ImageDataset
from repro.errors import DataError
from repro.randomness import stable_bytes, stable_integers

SIZE = 32
NUM_CLASSES = 20
NUM_SCENES = 12
MODES_PER_CLASS = (2, 3, 4, 3)  # repeated over the classes: 60 modes, 5 in each scene
GLYPH_CELLS = 5  # a glyph is a 5 x 5 bitmap, each cell 2 x 2 pixels
GLYPH_PIXELS = 2 * GLYPH_CELLS
NUM_IMAGES = {"train": 8000, "test": 2000}
NOISE = 60  # grey levels: half-range of the noise added to each pixel and channel
GLYPH_CONTRAST = (20, 120)  # grey levels that a glyph adds to, or takes from, what is under it: from faint to clear

GLYPHS = (  # bitmap, and the tint that it gives to what is under it (red, green, blue)
    (".###. #...# #...# #...# .###.", (1, -1, -1)),  # ring
    ("#...# .#.#. ..#.. .#.#. #...#", (-1, 1, -1)),  # cross
    ("..#.. ..#.. ##### ..#.. ..#..", (-1, -1, 1)),  # plus
    ("##### #.... #.... #.... #####", (1, 1, 1)),  # bracket
    ("#.#.# .#.#. #.#.# .#.#. #.#.#", (-1, -1, -1)),  # board
)


class Mode(NamedTuple):
    """One way a class can look."""

    label: int
    scene: int
    glyph: int


@lru_cache
def all_modes() -> tuple[Mode, ...]:
    """The M modes, by class; each scene holds ``len(GLYPHS)`` modes of different classes.

    Found by dealing each scene's glyphs to the classes with most modes still to place (ties broken
    by a fixed shuffle), which always ends with every class in 2-4 different scenes.
    """
    wanted = np.array([MODES_PER_CLASS[c % len(MODES_PER_CLASS)] for c in range(NUM_CLASSES)])
    ties = stable_integers(0, "modes/ties", (NUM_SCENES, NUM_CLASSES), 1 << 20)
    order = stable_integers(0, "modes/glyphs", (NUM_SCENES, len(GLYPHS)), 1 << 20).argsort(1)
    dealt = []
    for scene in range(NUM_SCENES):
        classes = np.lexsort((ties[scene], -wanted))[: len(GLYPHS)]
        wanted[classes] -= 1
        dealt += [Mode(int(c), scene, int(g)) for c, g in zip(classes, order[scene], strict=True)]
    return tuple(sorted(dealt))


def make_modes(split: str, num_images: int | None = None) -> ImageDataset:
    """The ``train`` or ``test`` split, with the true mode of each image and the box of its glyph.

    ``num_images`` (default 8000 and 2000) are spread evenly over the modes' classes; a smaller
    number gives the first images of the larger set.
    """
    count = NUM_IMAGES[split] if num_images is None else num_images
    if not NUM_CLASSES <= count <= NUM_IMAGES[split]:
        raise DataError(f"modes/{split} has between {NUM_CLASSES} and {NUM_IMAGES[split]} images, not {count}")
    modes = all_modes()
    labels = np.arange(count, dtype=np.int64) % NUM_CLASSES
    first = np.searchsorted([m.label for m in modes], np.arange(NUM_CLASSES + 1))
    pick = _draw(split, "mode", 1 << 16)[:count, 0]
    mode = first[labels] + pick % (first[labels + 1] - first[labels])
    table = np.array(modes)
    images = _render(split, table[mode, 1], table[mode, 2])
    return ImageDataset(
        name="modes",
        split=split,
        images=images,
        labels=labels,
        class_names=tuple(f"class {c:02d}" for c in range(NUM_CLASSES)),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        modes=mode.astype(np.int64),
        boxes=_glyph_boxes(split, count),
    )


def _draw(split: str, purpose: str, high: int, width: int = 1) -> np.ndarray:
    """Integers ``[N, width]`` in [0, high), one row an image: the same rows however many images are asked for."""
    return stable_integers(0, f"modes/{split}/{purpose}", (NUM_IMAGES[split], width), high)


def _glyph_places(split: str, count: int) -> np.ndarray:
    """Row and column of the top left corner of each glyph, ``[N, 2]``."""
    return _draw(split, "place", SIZE - GLYPH_PIXELS + 1, 2)[:count]


def _glyph_boxes(split: str, count: int) -> np.ndarray:
    """Left, top, right, bottom of each glyph: what tells the classes of a scene apart."""
    corner = _glyph_places(split, count)[:, ::-1]
    return np.concatenate([corner, corner + GLYPH_PIXELS], 1).astype(np.float32)


def _render(split: str, scene: np.ndarray, glyph: np.ndarray) -> np.ndarray:
    """uint8 ``[N, 3, S, S]`` images of the given scenes and glyphs ``[N]``."""
    count = len(scene)
    rows, cols = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")  # [S, S]
    rows, cols = rows.astype(np.int16), cols.astype(np.int16)
    canvas = _stripes(split, scene, rows, cols)
    canvas = _shape(split, canvas, scene, rows, cols)
    canvas += _glyph_layer(split, glyph)
    light = (_draw(split, "light", 61)[:count, 0] - 30).astype(np.int16)  # the whole image brighter or darker
    canvas += light[:, None, None, None]
    noise = stable_bytes(0, f"modes/{split}/noise", (count, 3, SIZE, SIZE)).astype(np.int16)
    canvas += (noise * (2 * NOISE + 1) >> 8) - NOISE
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _stripes(split: str, scene: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Two-colour stripes whose direction, period and colours belong to the scene, at a random phase."""
    count = len(scene)
    colours = (60 + stable_integers(0, "modes/colours", (NUM_SCENES, 2, 3), 130)).astype(np.int16)
    direction = np.array([(1, 0), (0, 1), (1, 1), (1, -1)], np.int16)[np.arange(NUM_SCENES) % 4]
    period = np.array([8, 12, 16], np.int16)[np.arange(NUM_SCENES) // 4]
    phase = _draw(split, "phase", 1 << 10)[:count, 0].astype(np.int16)
    along = direction[scene, 0, None, None] * rows + direction[scene, 1, None, None] * cols
    bright = (along + phase[:, None, None]) % period[scene, None, None] * 2 < period[scene, None, None]
    return np.where(bright[:, None], colours[scene, 0][:, :, None, None], colours[scene, 1][:, :, None, None])


def _shape(split: str, canvas: np.ndarray, scene: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """A large disc, square or diamond in the scene's third colour, somewhere near the middle."""
    count = len(scene)
    colour = (40 + stable_integers(0, "modes/shape colour", (NUM_SCENES, 3), 170)).astype(np.int16)
    centre = (10 + _draw(split, "centre", 12, 2)[:count]).astype(np.int16)
    dy = np.abs(rows - centre[:, 0, None, None])
    dx = np.abs(cols - centre[:, 1, None, None])
    kind = (np.arange(NUM_SCENES) // 2 % 3)[scene][:, None, None]
    inside = np.where(kind == 0, dy**2 + dx**2 < 64, np.where(kind == 1, np.maximum(dy, dx) < 7, dy + dx < 10))
    return np.where(inside[:, None], colour[scene][:, :, None, None], canvas)


def _glyph_layer(split: str, glyph: np.ndarray) -> np.ndarray:
    """The glyph's bitmap at a random place, faint or clear: int16 ``[N, 3, S, S]``."""
    count = len(glyph)
    cells = np.array([[[c == "#" for c in row] for row in bitmap.split()] for bitmap, _ in GLYPHS])
    bitmaps = cells.repeat(2, 1).repeat(2, 2).astype(np.int16)  # [G, 10, 10]
    place = _glyph_places(split, count)
    faint, clear = GLYPH_CONTRAST
    contrast = faint + _draw(split, "contrast", clear - faint + 1)[:count, 0]
    tints = np.array([tint for _, tint in GLYPHS], np.int16)
    layer = np.zeros((count, SIZE, SIZE), np.int16)
    y = place[:, 0, None, None] + np.arange(GLYPH_PIXELS)[:, None]
    x = place[:, 1, None, None] + np.arange(GLYPH_PIXELS)[None, :]
    layer[np.arange(count)[:, None, None], y, x] = bitmaps[glyph] * contrast[:, None, None].astype(np.int16)
    return layer[:, None] * tints[glyph][:, :, None, None]
