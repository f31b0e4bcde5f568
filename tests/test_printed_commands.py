"""Every command that README, the book's pages and the chapters print: its parser takes it, and so does its exhibit.

Nothing is trained. README's first commands and its Python are run as they stand by ``test_readme.py``; that
`repro run all` runs, ``tests/notebooks`` shows.
"""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from papermill.cli import papermill

from benchmarks import one_sitting, timing
from repro.cli import parser
from repro.cli.direct import asked
from repro.data.catalogue import DATASETS
from repro.errors import ReproError
from repro.exhibits import exhibit, names
from repro.models.cost import model_cost
from tests.book.test_chapters import CHAPTERS, PAGES
from tests.conftest import write_pictures

ROOT = Path(__file__).parents[1]
OTHERS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md", "RELEASING.md")}
TEXTS = OTHERS | {f"book/{name}.md": text for name, text in PAGES.items()}
TEXTS |= {f"notebooks/{name}.ipynb": text for name, text in CHAPTERS.items()}
PLACEHOLDERS = {"NAME", "FILE", "..."}
"""Words that stand for something else: such a command is read as far as it goes."""


FENCED = re.compile(r"^ *```([^\n`]*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def code_of(text: str) -> Iterator[str]:
    """Lines of blocks for the shell, joined at strokes, and what stands between backquotes."""
    for language, block in FENCED.findall(text):
        if language in ("sh", "bash", "shell", "console", ""):
            yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", FENCED.sub("", text))


def commands_of(text: str) -> Iterator[tuple[str, ...]]:
    """Commands of the project's own: ``(repro, run, ...)``, ``(papermill, ...)``, ``(benchmarks/NAME.py, ...)``."""
    for line in code_of(text):
        for part in re.split(r"&&|\|(?=\s)|;", line):
            try:
                command = shlex.split(part, comments=True)
            except ValueError:  # an apostrophe of a sentence
                continue
            while command and re.fullmatch(r"[A-Z_]+=.*|export|uv|run", command[0]):
                command = command[1:]
            if command[:2] == ["python", "-m"] and len(command) > 2:
                command = ["repro", *command[3:]] if command[2] == "repro.cli" else ["-m", *command[2:]]
            elif command[:1] == ["python"]:
                command = command[1:]
            if command and re.fullmatch(r"repro|papermill|-m|benchmarks/\w+\.py", command[0]):
                yield tuple(command)


PRINTED = sorted({(where, command) for where, text in TEXTS.items() for command in commands_of(text)})
IDS = [f"{where}: {' '.join(command)}" for where, command in PRINTED]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``path/to/pictures`` are pictures."""
    here = tmp_path_factory.mktemp("here")
    write_pictures(here / "path" / "to" / "pictures", {"train": 30, "val": 2})
    return here


@cache
def checked(name: str, values: tuple[tuple[str, str], ...]) -> None:
    """That the exhibit takes them; that of three families can be planned, which takes seconds, its own tests see."""
    parameters = exhibit(name).parameters
    (parameters if name == "three_families" else parameters.check)(**dict(values))


def read(command: tuple[str, ...]) -> None:
    """Read a command as its program would, up to where work begins; an error if it would not be taken."""
    program, *rest = command
    if program == "-m":
        assert importlib.util.find_spec(rest[0]), f"there is no module {rest[0]}"
    elif program == "papermill":
        given = papermill.make_context("papermill", rest).params
        name = Path(given["notebook_path"]).stem
        assert name in names() or name in PLACEHOLDERS
        checked("table2_num_experts" if name in PLACEHOLDERS else name, tuple(given["parameters"]))
    elif program != "repro":
        read_benchmark(program, rest)
    elif rest not in (["run"], ["cost"], ["pack"], ["unpack"], ["export"], ["data"]):  # names of commands
        args = parser().parse_args([argument for argument in rest if argument != "..."] + ["all"] * ("..." in rest))
        if "parameters" in args:
            wanted = args.notebooks if rest[0] == "run" else [args.notebook]
            for name in asked(wanted) if wanted != ["all"] else []:
                checked(name, tuple(map(tuple, args.parameters)))
        if rest[0] == "cost":
            model_cost(args.base, args.expert, args.classes, args.image_size, args.experts, args.width)
        if rest[:2] in (["data", "fetch"], ["data", "check"]):
            assert {*args.names} <= {*DATASETS, *PLACEHOLDERS}


def read_benchmark(script: str, rest: list[str]) -> None:
    """A script that is named alone has only to be there; the campaigns are printed as modules, without options."""
    assert (ROOT / script).is_file(), f"there is no {script}"
    if Path(script).stem != "one_sitting":
        timing.parser(None).parse_args(rest)
    elif rest:
        given = one_sitting.parser().parse_args(rest)
        checked(given.exhibit, tuple(map(tuple, given.parameters)))


@pytest.mark.parametrize(("where", "command"), PRINTED, ids=IDS)
def test_it_is_taken(where: str, command: tuple[str, ...], pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    monkeypatch.setenv("REPRO_ROOT", str(pictures / "root"))
    monkeypatch.setattr("repro.exhibits.own_data.example_folder", lambda *_: pictures / "path" / "to" / "pictures")
    try:
        read(command)
    except (SystemExit, click.UsageError) as error:
        if isinstance(error, SystemExit) and not error.code:
            return  # --help
        raise AssertionError(f"{where} prints `{' '.join(command)}`, which is not taken") from error


def test_some_are_read_of_every_kind() -> None:
    kinds = {command[1] if command[0] == "repro" else command[0] for _, command in PRINTED if command[1:]}
    assert len(PRINTED) > 60 and {"run", "cost", "export", "papermill", "-m", "benchmarks/one_sitting.py"} <= kinds


@pytest.mark.parametrize("wrong", ["repro run table2_num_experts -p expert 20", "benchmarks/gpu_training.py --brief"])
def test_a_wrong_one_would_be_seen(wrong: str) -> None:
    with pytest.raises((ReproError, SystemExit)):
        read(tuple(wrong.split()))
