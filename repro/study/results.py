"""What a run leaves behind: one small JSON a study, enough to draw every table without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from glob import escape
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from repro.errors import Frozen, StoreError
from repro.files import free_name, write_text
from repro.progress import say
from repro.study.contents import digest
from repro.study.picture import Picture

M = TypeVar("M", bound=Frozen)
EXACT = "exact"
"""The scale of what is counted or computed exactly, without images and without training."""


class Measurement(Frozen):
    """One number of one seed: ``metric`` of ``method`` with ``num_experts`` experts (0: the base alone)."""

    seed: int
    num_experts: int
    method: str = Field(description="backbone, expert (alone), top-2, bagging, bagging-logits, stacking, gate ...")
    metric: str = Field(description="top1 in percent; for the gate: agreement with g0 in percent, ami ...")
    value: float
    row: str = Field("", description="what else tells rows apart: a pair (tr18-tr10), a routing, a choice")


class Cost(Frozen):
    """What inference with the base and one expert costs; exact, so no seeds."""

    num_experts: int
    row: str = ""
    macs: int = Field(description="multiply-adds of one image: full base + one expert + gate")
    params_inference: int = Field(description="parameters of base + gate + one expert, the plain sum")
    params_trainable: int = Field(description="parameters of all experts")


class Table(Frozen):
    """What is no single number: a curve, a distribution; ``columns`` name the entries of each of ``rows``."""

    columns: list[str]
    rows: list[list[str | int | float | None]]

    def column(self, name: str) -> list[Any]:
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def where(self, **values: Any) -> Table:
        """The rows that have these values in the columns of these names."""
        wanted = {self.columns.index(name): value for name, value in values.items()}
        return Table(columns=self.columns, rows=[r for r in self.rows if all(r[i] == v for i, v in wanted.items())])


ROWS = {"seeds", "experts", "controls", "longer", "placements", "others", "others_seeds", "ways", "beside"}
"""Parameters of a command that say which rows a record has, and change none."""


def each_once(*several: str) -> str:
    """What several say, with a semicolon between, each part once."""
    return "; ".join(dict.fromkeys(part for one in several for part in one.split("; ")))


class Provenance(Frozen):
    """Where a result came from."""

    command: str
    code: str = Field(description="commit of the code, with '+' when the tree had changes; or the package version")
    when: str = Field(description="UTC, ISO 8601")
    hardware: str = Field(description="what its artifacts were made on, as each says: several joined by '; '")
    precision: str = Field(description="in which they were made, likewise")
    compile: str = Field("off", description="how networks were called while training, see repro.training.compiling")
    libraries: dict[str, str]
    seconds: float = Field(description="compute spent on the artifacts that this result rests on")

    def asked(self) -> dict[str, str]:
        """The parameters of the (first) command, by name, but for :data:`ROWS`; it leaves out those by default."""
        arguments = self.command.split(" && ")[0].split()
        pairs = (arguments[i + 1 : i + 3] for i, argument in enumerate(arguments) if argument == "-p")
        return {name: value for name, value in pairs if name not in ROWS}

    def then(self, later: Provenance) -> Provenance:
        """Of what was made here and ``later`` by another command, elsewhere perhaps."""
        return Provenance(
            command=f"{self.command} && {later.command}",
            code=each_once(self.code, later.code),
            when=max(self.when, later.when),
            hardware=each_once(self.hardware, later.hardware),
            precision=each_once(self.precision, later.precision),
            compile=each_once(self.compile, later.compile),
            libraries={name: each_once(have, later.libraries.get(name, have)) for name, have in self.libraries.items()},
            seconds=self.seconds + later.seconds,
        )


class StudyResult(Frozen):
    """The record of one study, or of a part of it: all seeds of one dataset at one scale."""

    study: str = Field(description="name of the notebook, e.g. table2_num_experts")
    dataset: str
    scale: str
    part: str = Field("", description="where a study is recorded in parts, which: e.g. a family")
    evaluate: str = Field(description="test, or validation when something was being tuned")
    base: str = Field(description="e.g. 'tr10 at width 0.25'")
    expert: str
    seeds: list[int]
    spec: dict[str, Any] = Field(description="the study's spec without seed and number of experts")
    spec_hash: str
    measurements: list[Measurement]
    costs: list[Cost]
    tables: dict[str, Table] = Field(default_factory=dict, description="curves and distributions, by name")
    pictures: dict[str, Picture] = Field(default_factory=dict, description="small images, by name")
    provenance: Provenance

    @property
    def name(self) -> str:
        """File stem: ``<study>-<dataset>-<scale>``, then the part, if it is one."""
        return "-".join(filter(None, (self.study, self.dataset, self.scale, self.part)))

    def values(self, metric: str, method: str, num_experts: int, row: str = "") -> list[float]:
        """One value a seed, in the order of the seeds; empty if it was not measured."""
        return [
            m.value
            for m in sorted(self.measurements, key=lambda m: m.seed)
            if (m.metric, m.method, m.num_experts, m.row) == (metric, method, num_experts, row)
        ]

    def rows(self) -> list[str]:
        """The names of the rows that were measured, in the order of the record."""
        return list(dict.fromkeys(m.row for m in self.measurements))

    def numbers_of_experts(self) -> list[int]:
        """Every number of experts that was measured, ascending, without the base alone (0)."""
        return sorted({m.num_experts for m in self.measurements} - {0})

    def most_experts(self, usual: int = 0) -> int:
        """The largest number of experts that was measured; ``usual`` where none was."""
        return max(self.numbers_of_experts(), default=usual)

    def save(self, folder: Path) -> Path:
        """Write ``<folder>/<name>.json``, whole or not at all; returns its path.

        Of what stands there under this name, a record of the same spec is replaced if this one has all of its seeds;
        if this one has none of them and was asked for alike, both are left and read as one (:meth:`and_seeds_of`): this
        is then ``<name>.seeds-3-4-5.json``. Anything else (another spec, other seeds, no record) is set aside.
        """
        path, covered = Path(folder) / f"{self.name}.json", []
        for there in files_of(folder, self.name):
            other = None
            with suppress(StoreError):
                other = load_result(there)
            if other and other.spec_hash == self.spec_hash and set(other.seeds) <= set(self.seeds):
                covered.append(there)
            elif other is None or self.why_apart(other):
                there.rename(aside := free_name(there, "before"))
                say(f"{there} had other seeds or another spec, or could not be read: it is {aside.name} now")
        if path.exists() and path not in covered:
            path = path.with_name(f"{self.name}.seeds-{'-'.join(map(str, self.seeds))}.json")
            say(f"{self.name} has other seeds already: these are recorded beside, and both are read as one")
        write_text(path, compact(self.model_dump()) + "\n")
        for replaced in covered:
            if replaced != path:
                replaced.unlink()
        return path

    def why_apart(self, other: StudyResult) -> str:
        """Why the seeds of another record of this name are not added to these; empty if they may be."""
        if self.spec_hash != other.spec_hash:
            return "are of different specs"
        if twice := set(self.seeds) & set(other.seeds):
            return f"have seed {min(twice)}"
        if self.provenance.asked() != other.provenance.asked():
            return "were asked for with different parameters"
        for name, mine in self.tables.items():
            fewer, more = sorted((mine.rows, other.tables.get(name, mine).rows), key=len)
            if "seed" not in mine.columns and any(row not in more for row in fewer):
                return f"have each a table '{name}' of their own, of what was chosen on the way"
        return ""

    def and_seeds_of(self, other: StudyResult) -> StudyResult:
        """Both records as one: seeds of the same spec from another run, or another machine, are added to these.

        A table or picture that is of no seed is this record's.

        Raises:
            StoreError: they may not be read as one.
        """
        if why := self.why_apart(other):
            raise StoreError(f"two records of {self.name} {why}: leave the one that is to count, or run both again")
        tables = {**other.tables, **self.tables}
        for name in self.tables.keys() & other.tables.keys():
            mine, theirs = self.tables[name], other.tables[name]
            if "seed" in mine.columns:
                tables[name] = Table(columns=mine.columns, rows=[*mine.rows, *theirs.rows])
        more = {
            "seeds": sorted({*self.seeds, *other.seeds}),
            "measurements": [*self.measurements, *other.measurements],
            "costs": list(dict.fromkeys([*self.costs, *other.costs])),
            "tables": tables,
            "pictures": {**other.pictures, **self.pictures},
            "provenance": self.provenance.then(other.provenance),
        }
        return self.model_copy(update=more)


def spec_digest(spec: Any) -> str:
    """The hash of a spec, without what it says of where its recipes come from: a sentence changes no number."""

    def settings(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: settings(each) for name, each in value.items() if name != "source"}
        return [settings(each) for each in value] if isinstance(value, list) else value

    return digest(settings(spec))


def compact(record: dict[str, Any]) -> str:
    """JSON with one line a measurement, cost or table row: it stays readable, and so do its changes."""

    def lines(value: Any, indent: str) -> str:
        if isinstance(value, dict) and any(isinstance(v, dict | list) for v in value.values()):
            items = [f"{json.dumps(k)}: {lines(v, indent + ' ')}" for k, v in value.items()]
            return "{\n" + ",\n".join(f"{indent} {item}" for item in items) + f"\n{indent}" + "}"
        if isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
            return "[\n" + ",\n".join(f"{indent} {lines(v, indent + ' ')}" for v in value) + f"\n{indent}]"
        return json.dumps(value, ensure_ascii=False)

    return lines(record, "")


def read(model: type[M], path: Path, what: str) -> M:
    """The record in a file; :class:`StoreError` names the file if there is none in it."""
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # pydantic's are ValueErrors
        raise StoreError(f"{path} is not {what}: {error}") from error


def load_result(path: Path) -> StudyResult:
    """Read one recorded result; :class:`StoreError` names the file if it is not one."""
    return _each_pair_once(read(StudyResult, Path(path), "a recorded result"))


def _each_pair_once(result: StudyResult) -> StudyResult:
    """Of two seeds two whole networks of a kind are one pair: some records have it twice, under each of them."""
    if len(result.seeds) != 2:
        return result

    def again(m: Measurement) -> bool:
        return m.method == "two networks" and len(set(m.row.split(" + "))) == 1 and m.seed == result.seeds[-1]

    return result.model_copy(update={"measurements": [m for m in result.measurements if not again(m)]})


def files_of(folder: Path, name: str) -> list[Path]:
    """The files below ``folder`` whose record is of this name: ``<name>.json``, then those of further seeds."""
    first, more = Path(folder) / f"{name}.json", Path(folder).glob(f"{escape(name)}.seeds-*.json")
    return [path for path in (first, *sorted(more)) if path.exists()]


def load_named(folder: Path, name: str) -> StudyResult:
    """The recorded result of a name, with all seeds that there are of it.

    Raises:
        StoreError: there is none, one cannot be read, or two of them cannot be read as one.
    """
    first, *more = map(load_result, files_of(folder, name) or [Path(folder) / f"{name}.json"])
    more = [r for r in more if not (r.spec_hash == first.spec_hash and set(r.seeds) <= set(first.seeds))]  # replaced
    return reduce(StudyResult.and_seeds_of, more, first)


def load_results(folder: Path, study: str | None = None) -> dict[str, StudyResult]:
    """All recorded results below ``folder``, by name, those of one study if it is given."""
    names = dict.fromkeys(re.sub(r"\.seeds-[\d-]+$", "", path.stem) for path in sorted(Path(folder).glob("*.json")))
    results = [load_named(folder, name) for name in names]
    chosen = sorted((r for r in results if study in (None, r.study)), key=_reading_order)
    return {r.name: r for r in chosen}


def evidence(results: Sequence[StudyResult]) -> list[StudyResult]:
    """Those of real images; of the embedded set, which is a demonstration, where there is nothing else."""
    return [result for result in results if result.dataset != "modes"] or list(results)


def _reading_order(result: StudyResult) -> tuple[int, int, str]:
    """The paper's scale before the laptop's, image sets as the paper lists them, the embedded set last."""
    scales = ("paper", "gpu", "laptop", "quick", "smoke", result.scale)
    datasets = ("cifar100", "tiny-imagenet", "imagenet", "cifar10", "modes", result.dataset)
    return scales.index(result.scale), datasets.index(result.dataset), result.name
