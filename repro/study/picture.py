"""Small images within a record: one file, whole or absent like its numbers."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image
from pydantic import Field

from repro.errors import Frozen


class Picture(Frozen):
    """Small square images, kept within the record: a contact sheet whose tiles are counted row by row.

    The sheet is text (base64 of a JPEG), so that a record stays one file, whole or absent like its numbers.
    """

    count: int = Field(description="number of tiles")
    size: int = Field(description="side of a tile in pixels")
    columns: int = Field(description="tiles in a row of the sheet")
    jpeg: str = Field(description="the sheet, JPEG in URL-safe base64")

    @classmethod
    def of(cls, images: np.ndarray, columns: int = 10, largest: int = 64) -> Picture:
        """Of uint8 images ``[n, 3, S, S]``, scaled down where they are larger than ``largest`` pixels."""
        count, size = len(images), min(images.shape[-1], largest)
        sheet = Image.new("RGB", (columns * size, -(-count // columns) * size))
        for index, image in enumerate(images):
            tile = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
            tile = tile if tile.width == size else tile.resize((size, size), Image.Resampling.BOX)
            sheet.paste(tile, (index % columns * size, index // columns * size))
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=90, subsampling=0)
        return cls(count=count, size=size, columns=columns, jpeg=base64.urlsafe_b64encode(buffer.getvalue()).decode())

    def tiles(self) -> np.ndarray:
        """uint8 ``[n, size, size, 3]``."""
        sheet = np.asarray(Image.open(io.BytesIO(base64.urlsafe_b64decode(self.jpeg))))
        rows = sheet.reshape(-1, self.size, self.columns, self.size, 3).swapaxes(1, 2)
        return rows.reshape(-1, self.size, self.size, 3)[: self.count]
