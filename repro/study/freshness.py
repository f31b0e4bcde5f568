"""Whether an artifact on disk is still what its key promises: same code, same images, same libraries.

The spec is the key itself. What else counts stands in the artifact's description; what an older
artifact does not say is not held against it (``repro doctor`` names those).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repro.study.provenance import library_versions
from repro.study.revisions import code_digest, same_numbers

# Libraries whose major version may change numbers; stores move between machines with different minor ones.
LIBRARIES_THAT_MATTER = ("torch", "numpy", "scikit-learn")


def conditions_now(kind: str, images: str | None) -> dict[str, str | None]:
    """What is recorded beside the weights: the digests of the code and of the images."""
    return {"code": code_digest(kind), "images": images}


def why_stale(about: Mapping[str, Any], images: str | None) -> str | None:
    """Why an artifact must be made again, in words; None when it need not be."""
    here = library_versions()
    made = about["made"].get("libraries") or {}
    for name in LIBRARIES_THAT_MATTER:
        then, now = major(made.get(name)), major(here.get(name))
        if then and now and then != now:
            return f"it was made with {name} {made[name]}, and this is {name} {here[name]}"
    recorded = (about.get("conditions") or {}).get("images")
    if recorded and images and recorded != images:
        return f"it was made from other images (digest {recorded}, now {images})"
    return None


def other_code(about: Mapping[str, Any]) -> bool:
    """Whether it was made by code that is neither this nor locked as making the same numbers."""
    recorded = (about.get("conditions") or {}).get("code")
    kind = str(about["kind"])
    return bool(recorded) and recorded != code_digest(kind) and not same_numbers(kind, str(recorded))


def major(version: object) -> str:
    """The major version, ``2`` of ``2.11.0+cu128``; empty where it is not known."""
    first = str(version or "").partition(".")[0]
    return first if first.isdigit() else ""
