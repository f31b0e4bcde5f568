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


def conditions_now(kind: str, images: str | None, parents: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What is recorded beside the weights: the digests of the code and of the images, the checksums of the parents."""
    return {"code": code_digest(kind), "images": images, "parents": dict(parents or {})}


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


def other_code(about: Mapping[str, Any]) -> bool:
    """Whether it was made by code that is neither this nor locked as making the same numbers."""
    recorded = (about.get("conditions") or {}).get("code")
    kind = str(about["kind"])
    return bool(recorded) and recorded != code_digest(kind) and not same_numbers(kind, str(recorded))


def major(version: object) -> str:
    """The major version, ``2`` of ``2.11.0+cu128``; empty where it is not known."""
    first = str(version or "").partition(".")[0]
    return first if first.isdigit() else ""
