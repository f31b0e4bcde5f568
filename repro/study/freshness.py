"""Whether an artifact on disk is still what its key promises: same images, same parents, same libraries.

What else it depends on, the revision of the code among it, is the key itself. What counts beside stands in the
artifact's description.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repro.study.provenance import library_versions

# Libraries whose major version may change numbers; stores move between machines with different minor ones.
LIBRARIES_THAT_MATTER = ("torch", "numpy", "scikit-learn")


def why_stale(about: Mapping[str, Any], images: str | None, parents: Mapping[str, str] | None = None) -> str | None:
    """Why an artifact must be made again, in words; None when it need not be.

    ``parents`` are the artifacts that it would be made from now: ``kind/key`` -> checksum.
    """
    for name in LIBRARIES_THAT_MATTER:
        then, now = about["made"]["libraries"][name], library_versions()[name]
        if "unknown" not in (then, now) and then.partition(".")[0] != now.partition(".")[0]:
            return f"it was made with {name} {then}, and this is {name} {now}"
    recorded = about["conditions"]["images"]
    if recorded and images and recorded != images:
        return f"it was made from other images (digest {recorded}, now {images})"
    for name, then in about["conditions"]["parents"].items():
        if then != (parents or {}).get(name, then):
            kind = name.partition("/")[0]
            return f"the {kind} that it was made from was made anew and has other weights (in store/{name})"
    return None
