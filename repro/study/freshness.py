"""Whether an artifact on disk is still what its key promises: same images, same parents, same libraries.

What else it depends on, the revision of the code among it, is the key itself. What counts beside stands in the
artifact's description; what an older artifact does not say is not held against it (``repro doctor`` names those).
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
    here = library_versions()
    made = about["made"].get("libraries") or {}
    for name in LIBRARIES_THAT_MATTER:
        then, now = major(made.get(name)), major(here.get(name))
        if then and now and then != now:
            return f"it was made with {name} {made[name]}, and this is {name} {here[name]}"
    conditions = about.get("conditions") or {}
    recorded = conditions.get("images")
    if recorded and images and recorded != images:
        return f"it was made from other images (digest {recorded}, now {images})"
    for name, then in (conditions.get("parents") or {}).items():
        if then != (parents or {}).get(name, then):
            kind = name.partition("/")[0]
            return f"the {kind} that it was made from was made anew and has other weights (in store/{name})"
    return None


def major(version: object) -> str:
    """The major version, ``2`` of ``2.11.0+cu128``; empty where it is not known."""
    first = str(version or "").partition(".")[0]
    return first if first.isdigit() else ""
