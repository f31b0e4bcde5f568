"""For what has not yet moved to :mod:`repro.exhibits`: the book, its pages and quotes, the plan, the notebooks."""

from repro.exhibits import exhibit, exhibits, names, open_exhibit
from repro.exhibits.three_families import front_page

NAMES = tuple(one.name for one in exhibits())
OTHERS = tuple(name for name in names() if name not in NAMES)
__all__ = ["NAMES", "OTHERS", "exhibit", "exhibits", "front_page", "open_exhibit"]
