"""What is recorded when the time is up or a training went wrong, what becomes of a record that was there, and by what
code it was made; small pictures in a record.
"""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from repro import __version__
from repro.errors import ReproError, StoreError, TimeIsUpError, TrainingError
from repro.families.single_gate.study import SingleGateParameters
from repro.study import provenance
from repro.study.graph import ordered
from repro.study.picture import Picture
from repro.study.places import results_folder
from repro.study.record import open_runner, record, seed_by_seed
from repro.study.results import Measurement, StudyResult, Table, load_results, spec_digest
from repro.study.runner import Runner
from tests.study import toy


def line(seed: int, value: float) -> Measurement:
    return Measurement(seed=seed, num_experts=0, method="backbone", metric="top1", value=value)


def written(seeds: Sequence[int], wrong: dict[int, ReproError], record_of: Callable[..., StudyResult]) -> list[int]:
    """The seeds of the record that is written where measuring some goes wrong; empty where none is."""
    in_record: list[int] = []

    def measure(seed: int) -> Iterator[Measurement]:
        if seed in wrong:
            raise wrong[seed]
        yield line(seed, 1.0)

    def write(lines: list[Measurement]) -> StudyResult:
        in_record.extend(m.seed for m in lines)
        return record_of("table1_main", {})

    with pytest.raises(type(next(iter(wrong.values())))):
        seed_by_seed(map(measure, seeds), write)
    return in_record


def test_whole_seeds_are_written_before_it_says_what_was_not(record_of: Callable[..., StudyResult]) -> None:
    late, collapsed = TimeIsUpError("not begun"), TrainingError("the gates collapsed")
    assert written([0, 1, 2], {1: late}, record_of) == [0, 2], "also one that comes after what is not"
    assert late.recorded, "nobody else has to see to it"
    assert written([0, 1, 2], {0: collapsed}, record_of) == [1, 2]
    assert written([0, 1, 2], {2: late, 0: collapsed}, record_of) == [1], "the same command goes on: it was late"
    assert written([0], {0: TimeIsUpError("not begun")}, record_of) == [], "of no seed there is no record"


def test_a_record_of_more_seeds_or_another_spec_is_set_aside_and_not_lost(
    tmp_path: Path, made_up: Callable[..., StudyResult], capsys: pytest.CaptureFixture[str]
) -> None:
    more, fewer = made_up({("bagging", 20): [60.0, 61.0]}), made_up({("bagging", 20): [60.0]})
    path = fewer.save(tmp_path)
    more.save(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name] and capsys.readouterr().err == ""
    fewer.save(tmp_path)
    assert load_results(tmp_path)[fewer.name] == fewer, "what is set aside is no record"
    aside = tmp_path / f"{path.name}.before-1"
    assert StudyResult.model_validate_json(aside.read_text()) == more and aside.name in capsys.readouterr().err
    path.write_text("{}")
    fewer.save(tmp_path)
    assert load_results(tmp_path)[fewer.name] == fewer and (tmp_path / f"{path.name}.before-2").read_text() == "{}"
    other = fewer.model_copy(update={"spec_hash": "1" * 16})  # of another folder of the same last name, say
    other.save(tmp_path)
    assert load_results(tmp_path) == {fewer.name: other}
    assert StudyResult.model_validate_json((tmp_path / f"{path.name}.before-3").read_text()) == fewer


def test_records_of_other_seeds_stand_beside_each_other_and_are_read_as_one(
    tmp_path: Path, made_up: Callable[..., StudyResult], capsys: pytest.CaptureFixture[str]
) -> None:
    first = made_up({("bagging", 20): [60.0, 61.0]})
    curve = Table(columns=["seed", "top1"], rows=[[0, 60.0], [1, 61.0]])
    first = first.model_copy(update={"tables": {"curve": curve, "scan": Table(columns=["top1"], rows=[[1.0]])}})
    asked = first.provenance.command + " -p seeds 3,4 -p others l2"
    elsewhere = first.provenance.model_copy(update={"hardware": "a card", "seconds": 5.0, "command": asked})
    later = first.model_copy(
        update={
            "seeds": [3, 4],
            "measurements": [m.model_copy(update={"seed": m.seed + 3}) for m in first.measurements],
            "tables": {"curve": Table(columns=["seed", "top1"], rows=[[3, 60.0]]), "scan": Table(columns=[], rows=[])},
            "provenance": elsewhere,
        }
    )
    first.save(tmp_path)
    assert later.save(tmp_path).name == f"{later.name}.seeds-3-4.json"
    both = load_results(tmp_path)[first.name]
    assert both.seeds == [0, 1, 3, 4] and both.values("top1", "bagging", 20) == [60.0, 61.0, 60.0, 61.0]
    assert both.tables["curve"].column("seed") == [0, 1, 3] and both.tables["scan"] == first.tables["scan"]
    made = both.provenance
    assert made.command == f"{first.provenance.command} && {elsewhere.command}" and made.code == first.provenance.code
    assert made.then(made).hardware == made.hardware == f"{first.provenance.hardware}; a card"
    assert made.seconds == first.provenance.seconds + 5.0
    overlapping = later.model_copy(update={"seeds": [4, 5]})
    with pytest.raises(StoreError, match="have seed 4: leave the one that is to count"):
        later.and_seeds_of(overlapping)
    other = elsewhere.model_copy(update={"command": "repro run -p lam 0.5"})
    assert "different parameters" in first.why_apart(later.model_copy(update={"provenance": other}))
    scan = Table(columns=["top1"], rows=[[2.0]])
    assert "'scan'" in first.why_apart(later.model_copy(update={"tables": {"scan": scan}}))
    with pytest.raises(StoreError, match="different specs"):
        later.and_seeds_of(first.model_copy(update={"spec_hash": "1" * 16}))
    overlapping.save(tmp_path)
    assert load_results(tmp_path)[first.name].seeds == [0, 1, 4, 5], "seeds 3 and 4 are set aside, as seed 3 is lost"
    assert (tmp_path / f"{later.name}.seeds-3-4.json.before-1").exists()
    assert both.model_copy(update={"seeds": [0, 1, 3, 4, 5]}).save(tmp_path).name == f"{first.name}.json"
    assert len(list(tmp_path.glob("*.json"))) == 1, "a record of all seeds replaces both"
    (tmp_path / f"{later.name}.seeds-3-4.json").write_text(later.model_dump_json())
    assert load_results(tmp_path)[first.name].seeds == [0, 1, 3, 4, 5], "left by one that was killed while it replaced"


def test_two_seeds_are_one_pair_of_networks(tmp_path: Path, made_up: Callable[..., StudyResult]) -> None:
    twice = made_up({("two networks", 0): [60.0, 60.0], ("bagging", 20): [60.0, 61.0]})
    twice.save(tmp_path)
    (read,) = load_results(tmp_path).values()
    assert (read.values("top1", "two networks", 0), read.values("top1", "bagging", 20)) == ([60.0], [60.0, 61.0])


def test_a_record_says_what_its_artifacts_were_made_on_and_not_who_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base of a card, in bf16, serves all that a laptop makes of it in fp32: nothing is stale, and both are named.

    Where two machines answer for a base differently, it is recorded once.
    """

    def on(hardware: str, precision: str) -> None:
        monkeypatch.setattr("repro.study.provenance.hardware", lambda device: hardware)
        monkeypatch.setattr("repro.study.provenance.precision", lambda device: precision)

    on("a card", "bf16")
    goal = toy.asked()
    Runner([], toy.context(tmp_path)).load(ordered(goal.steps)[0])
    toy.CALLS.clear()
    on("a laptop, 1 thread", "fp32")
    runner = toy.run(tmp_path, goal)
    assert toy.CALLS[0].startswith("gate"), "the base stands"
    on("a desk, 2 threads", "fp32")
    parameters = SingleGateParameters.check(scale="smoke", root=tmp_path)
    (spec,) = parameters.specs()

    def made(runner: Runner, timed: bool = False) -> tuple[str, str]:
        name, left_out, lines = "table2_num_experts", {"seed": True}, [line(0, 50.0), line(0, 50.01)]
        result = record(name, parameters, runner, spec, left_out, "tr10", "tr10", lines, timed=timed)
        assert result.values("top1", "backbone", 0) == [50.0]
        return result.provenance.hardware, result.provenance.precision

    assert made(runner) == ("a card; a laptop, 1 thread", "bf16; fp32")
    assert made(runner, timed=True) == ("a desk, 2 threads; a card; a laptop, 1 thread", "fp32; bf16")
    assert made(open_runner(parameters, [])) == ("a desk, 2 threads", "fp32"), "of no artifact"


def test_where_a_recipe_comes_from_is_no_part_of_a_specs_hash() -> None:
    spec = {"recipe": {"epochs": 3, "source": "ours"}, "parts": [{"source": "ours"}]}
    assert spec_digest(spec) == spec_digest({"recipe": {"epochs": 3, "source": "the paper's"}, "parts": [{}]})
    assert spec_digest(spec) != spec_digest({"recipe": {"epochs": 4, "source": "ours"}, "parts": [{}]})
    assert not [r.name for r in load_results(results_folder()).values() if r.spec_hash != spec_digest(r.spec)]


def test_pictures_go_into_a_record_as_text_and_come_out_in_order() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (7, 3, 1, 1), dtype=np.uint8)
    images = np.broadcast_to(colours, (7, 3, 32, 32)).copy()
    picture = Picture.of(images, columns=3)
    tiles = Picture.model_validate_json(picture.model_dump_json()).tiles()
    assert tiles.shape == (7, 32, 32, 3)
    assert np.abs(tiles.astype(int) - images.transpose(0, 2, 3, 1)).max() <= 3  # JPEG
    assert "/" not in picture.jpeg and "+" not in picture.jpeg
    large = np.zeros((2, 3, 96, 96), np.uint8)
    large[:, 0] = 200
    assert Picture.of(large, largest=48).tiles().shape == (2, 48, 48, 3)


def test_a_checkout_says_its_own_commit_unless_one_is_passed_along_with_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, version = Path(__file__).parents[2], provenance.code_version.__wrapped__
    if (here / ".git").exists():
        monkeypatch.delenv(provenance.COMMIT, raising=False)
        head = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
        assert head.startswith(version().rstrip("+"))
    monkeypatch.setenv(provenance.COMMIT, " 0123456789ab+\n")
    assert version() == "0123456789ab+"
    monkeypatch.setenv(provenance.COMMIT, "")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "repro" / "study" / "provenance.py"))
    assert version() == __version__
