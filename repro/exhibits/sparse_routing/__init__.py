"""What tokens choose (the sweet-spot paper's "Model inspection", Figures 3, 4 and 7; its claims V6 to V8 and V10).

Of the networks that ``sparse_placement`` trains: where an image's tokens go, what experts have to do with classes and
with one another, and whether mixtures help or harm on corrupted images.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from repro.exhibits.sparse_routing.run import NAME, SHIFT, Parameters, cell, run
from repro.exhibits.sparse_routing.shown import figures, printed_value, tables
from repro.report.claim import Claim
from repro.report.exhibit import Exhibit

AMONG = 45
"""Percent of the experts that process an image at least, by the paper's 15.8 of 32 ("almost half")."""


def _claims(body: str, name: str) -> Iterator[Claim]:
    last_2 = partial(cell, body, "last-2")
    yield Claim(
        f"V6/{body}", f"{name}, 32 experts: an image's tokens go to more than {AMONG} % of them (first mixture)",
        last_2("first", "share", 32), bar=AMONG,
    )  # fmt: skip
    for more, less in ((16, 8), (32, 16)):
        yield Claim(
            f"V6/{body}/{more}", f"{name}: more experts process an image of {more} than of {less} (first mixture)",
            last_2("first", "experts", more), last_2("first", "experts", less),
        )  # fmt: skip
    information = partial(last_2, metric="information")
    yield Claim(
        f"V7/{body}", f"{name}: the class explains more of the choice in the last mixture than in the first",
        information("last"), information("first"),
    )  # fmt: skip
    alike = partial(last_2, metric="similarity")
    yield Claim(
        f"V8/{body}", f"{name}: experts share images more in the first mixture than in the last",
        alike("first"), alike("last"),
    )  # fmt: skip
    yield Claim(
        f"V10/{body}", f"{name}: under our shifts the gain has the sign of the clean one", last_2(SHIFT, "top1_gain")
    )


CLAIMS = tuple(claim for body, name in (("convnext", "ConvNeXt"), ("vit", "ViT")) for claim in _claims(body, name))
"""Of Last 2, 8 experts unless said otherwise. First mixtures have 64 tokens an image or more, last ones may have 16."""


EXHIBIT = Exhibit(
    NAME, "What tokens choose (sweet spot, Figures 3, 4 and 7)", Parameters, run, tables, CLAIMS, printed_value,
    figures, place=17,
)  # fmt: skip
