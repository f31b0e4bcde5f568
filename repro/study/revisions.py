"""The code that makes an artifact is part of its key: by a revision, and a lock that keeps revisions honest.

``REVISIONS`` (in :mod:`repro.study.spec`) is raised by hand when the numbers of a kind of artifact
change. So that no change slips by, ``revisions.json`` holds the digest of the code that makes each
kind; a test fails when the code is not the locked one. Then either the numbers changed, and the
revision is raised, or they did not (``tests/study/test_golden.py`` says so), and the digest is added:

    uv run python -m repro.study.revisions

All digests of one revision stand for the same numbers, so a refactoring throws no training away.
"""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

from repro.errors import StoreError
from repro.files import write_text
from repro.study.spec import REVISIONS

LOCK = Path(__file__).with_name("revisions.json")
# Where the making of each kind begins: functions of the pipeline, and modules with all that they import.
BEGINS: dict[str, tuple[str, ...]] = {
    "base": ("repro.study.pipeline:Study._base", "repro.method.experts"),
    "gate": ("repro.study.pipeline:Study._gate", "repro.study.pipeline:Study._assignment",
             "repro.study.pipeline:Study._embed_training_set", "repro.method.experts", "repro.method.routing",
             "repro.method.class_routing", "repro.method.em"),
    "expert": ("repro.study.pipeline:Study._expert", "repro.study.pipeline:Study._new_expert",
               "repro.study.pipeline:Study._share", "repro.study.pipeline:Study._experts",
               "repro.study.pipeline:Study._train_experts",
               "repro.method.experts", "repro.method.one_pass", "repro.method.routing"),
    "ensembler": ("repro.study.pipeline:Study._ensembler", "repro.method.ensemblers"),
    "outputs": ("repro.study.pipeline:Study.outputs", "repro.method.outputs"),
    "base-outputs": ("repro.study.pipeline:Study.base_outputs", "repro.method.outputs"),
    "losses": ("repro.study.pipeline:Study.losses", "repro.method.outputs"),
}  # fmt: skip
# What every kind reads.
DATA = ("repro.study.sources:Sources", "repro.data.catalogue", "repro.data.batches", "repro.data.stream")
# Imported by the above, and unable to change a number: messages, files, downloads.
NO_NUMBERS = {"repro.errors", "repro.files", "repro.progress", "repro.data", "repro.data.archives", "repro"}


@cache
def code_digest(kind: str) -> str:
    """16 hex digits of the code that makes a kind of artifact; comments, docstrings and layout do not count.

    Kinds that are not in ``BEGINS`` have the digest of nothing.
    """
    begins = (*BEGINS.get(kind, ()), *DATA) if kind in BEGINS else ()
    whole = closure(tuple(name for name in begins if ":" not in name))
    parts = [name for name in begins if ":" in name]
    text = " ".join(map(part_digest, [*sorted(whole), *sorted(parts)]))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def part_digest(name: str) -> str:
    """16 hex digits of a module, or of what ``package.module:Class.function`` names in it."""
    return hashlib.sha256(json.dumps(shape(ast_of(name))).encode()).hexdigest()[:16]


def closure(modules: tuple[str, ...]) -> set[str]:
    """The modules, and every module of this package that they import, directly or not."""
    found: set[str] = set()
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in found and name not in NO_NUMBERS:
            found.add(name)
            todo += imported_by(name)
    return found


@cache
def imported_by(name: str) -> list[str]:
    """The modules of this package that a module imports."""
    found = []
    for node in ast.walk(ast_of(name)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("repro"):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [module if _file(module).exists() else node.module for module in inner]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("repro")]
    return found


def _file(module: str) -> Path:
    """The file of a module of this package; a package's own ``__init__`` computes nothing and counts as absent."""
    return Path(__file__).parents[2] / (module.replace(".", "/") + ".py")


@cache
def ast_of(name: str) -> ast.AST:
    """The tree of ``package.module``, or of what ``package.module:Class.function`` names in it."""
    module, _, path = name.partition(":")
    if not _file(module).exists():
        raise StoreError(f"there is no module {module}; correct BEGINS in repro/study/revisions.py")
    node: ast.AST = ast.parse(_file(module).read_text(encoding="utf-8"))
    for part in path.split(".") if path else []:
        inside = {n.name: n for n in getattr(node, "body", []) if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        if part not in inside:
            raise StoreError(f"{module} has no {path}; correct BEGINS in repro/study/revisions.py")
        node = inside[part]
    return node


def shape(node: object) -> object:
    """A tree as plain lists: no positions, no docstrings, nothing that one Python writes and another does not."""
    if isinstance(node, ast.AST):
        fields = dict(ast.iter_fields(node))
        body = fields.get("body")
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body and _is_docstring(body[0]):
            fields["body"] = body[1:]
        kept = [[name, shape(value)] for name, value in fields.items() if value not in (None, []) and name != "kind"]
        return [type(node).__name__, *kept]
    if isinstance(node, list):
        return [shape(item) for item in node]
    return repr(node)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def locked() -> dict[str, dict[str, list[str]]]:
    """The lock: kind -> revision -> digests that make the same numbers, oldest first."""
    try:
        return json.loads(LOCK.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{LOCK} cannot be read ({error}); restore it from the repository") from error


def same_numbers(kind: str, digest: str) -> bool:
    """Whether code of this digest is locked as making the numbers of the kind's present revision."""
    return digest in locked().get(kind, {}).get(str(REVISIONS.get(kind)), [])


def unlocked() -> list[str]:
    """A sentence for every kind of artifact whose code is not the locked one."""
    return [
        f"the code that makes the {kind} is not the one locked for revision {REVISIONS.get(kind)}: if its numbers "
        f"changed, raise REVISIONS[{kind!r}] in repro/study/spec.py; if tests/study/test_golden.py says that they did "
        "not, leave it; then run `uv run python -m repro.study.revisions`"
        for kind in BEGINS
        if not same_numbers(kind, code_digest(kind))
    ]


def lock() -> None:
    """Add the present digests to the lock; revisions before the present one are dropped."""
    kept = locked() if LOCK.exists() else {}
    new = {}
    for kind in BEGINS:
        revision = str(REVISIONS[kind])
        known = kept.get(kind, {}).get(revision, [])
        new[kind] = {revision: list(dict.fromkeys([*known, code_digest(kind)]))}
    write_text(LOCK, json.dumps(new, indent=1) + "\n")


if __name__ == "__main__":
    print("\n".join(unlocked()) or "everything was locked already")
    lock()
