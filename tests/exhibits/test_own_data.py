"""Your own images, shown: the table, the picture and the sentences say what the record says."""

from pathlib import Path
from typing import Any

import pytest
import torch

from repro.analysis.anytime import answers
from repro.analysis.outputs import Outputs
from repro.cli import main
from repro.errors import DataError, ReproError, SpecError, TimeIsUpError
from repro.exhibits import own_data
from repro.exhibits.own_data import Parameters, baselines, choices, held_parts, run
from repro.families.single_gate import onnx_form
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import EQUAL_TRAINING, equal_training
from repro.families.single_gate.export import read_config
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.steps import steps
from repro.families.single_gate.study import Study, open_study
from repro.report.claim import Cell
from repro.study.results import StudyResult, Table, load_results
from tests.conftest import write_pictures
from tests.helpers import drawn_at
from tests.records import RecordOf, cost_of

TINY = {"width": "0.0625", "num_experts": "2", "epochs": "2", "expert_epochs": "1", "batch_size": "16"}


def asked(folder: Path, root: Path, **more: Any) -> Parameters:
    return Parameters.check(folder=str(folder), root=str(root), **{**TINY, **more})


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyResult]:
    """A root with ``My Pictures`` in it, and what a run of these has recorded there."""
    root = tmp_path_factory.mktemp("root")
    return root, run(asked(write_pictures(root / "My Pictures", {"train": 40, "val": 10}), root))


def test_a_folder_becomes_a_record_and_the_second_run_trains_nothing(
    ran: tuple[Path, StudyResult], capsys: pytest.CaptureFixture[str]
) -> None:
    root, result = ran
    (spec,) = asked(root / "My Pictures", root).specs()
    assert (result.name, result.numbers_of_experts()) == ("own_data-my-pictures-own", [2])
    assert load_results(root / "results")[result.name] == result
    assert result.spec["folder"]["num_train"] == 120 and str(root) not in result.model_dump_json()
    assert "-p folder 'My Pictures'" in result.provenance.command, "as a shell takes it"
    study, test = open_study(asked(root / "My Pictures", root)), held_parts(spec)[1]
    base, mixture = answers(study.run(spec)).right[test, :2].unbind(1)
    logits, labels = study.base_outputs(equal_training(spec))
    control = (logits.argmax(1) == labels)[test]
    for metric, method, images in (
        ("top1", "bagging", mixture), ("discordant", "bagging", base != mixture),
        ("top1", EQUAL_TRAINING, control), ("discordant", EQUAL_TRAINING, control != mixture),
    ):  # fmt: skip
        assert result.values(metric, method, 2) == [pytest.approx(100 * int(images.sum()) / 15, abs=1e-3)]
    assert result.tables["sweep"].column("tau")[0] == 0 and result.tables["sweep"].column("exits")[-1] == 100
    capsys.readouterr()
    again = run(asked(root / "My Pictures", root))
    assert again.measurements == result.measurements
    assert "0 found" not in (printed := capsys.readouterr().err) and "found in the store" in printed


def test_where_the_time_is_up_before_the_control_is_trained_the_mixture_is_recorded(
    ran: tuple[Path, StudyResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object) -> None:
        raise TimeIsUpError("control: not begun")

    root, result = ran
    monkeypatch.setattr(Study, "base_outputs", late)
    with pytest.raises(TimeIsUpError):
        run(asked(root / "My Pictures", root))
    (there,) = load_results(root / "results").values()
    assert there.measurements == [m for m in result.measurements if m.method != EQUAL_TRAINING]


def test_every_recipe_gives_way_and_the_control_begins_where_the_base_does(
    picture_folder: Path, tmp_path: Path
) -> None:
    for given, expected in (
        ({"recipe": "small"}, ("tr10", 32, 0.25, "scratch")),
        ({"backbone": "shufflenet_v2_x0_5@stage2"}, ("shufflenet_v2_x0_5@stage2", 32, 1.0, "scratch")),  # has no width
        ({"recipe": "photographs", "backbone": "tr18"}, ("tr18", 224, 1.0, "scratch")),  # nobody has weights of it
    ):
        (spec,) = Parameters.check(folder=str(picture_folder), root=str(tmp_path), **given).specs()
        assert (spec.base, spec.image_size, spec.width, spec.start) == expected
    parameters = Parameters.check(folder=str(picture_folder), root=str(tmp_path), recipe="photographs", seeds="0,1")
    spec, _ = parameters.specs()
    assert (spec.base, spec.image_size, spec.width, spec.start) == ("resnet18", 224, 1.0, "imagenet")
    control, other = parameters.bases()
    assert (control.role, control.start, control.base, other.seed) == ("control", "imagenet", "resnet18", 1)
    assert control.base_recipe == spec.base_recipe.model_copy(update={"epochs": control.base_recipe.epochs})
    assert spec.base_recipe.epochs < control.base_recipe.epochs <= 3 * spec.base_recipe.epochs
    without = Parameters.check(folder=str(picture_folder), root=str(tmp_path), control="False")
    assert without.bases() == [] and without.command("own_data").endswith("-p control False")


def test_of_a_folder_the_card_shows_the_test_part_and_what_was_chosen(
    ran: tuple[Path, StudyResult], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exports of two folders of one name lie apart."""
    root, result = ran
    given = {"folder": str(root / "My Pictures"), "root": str(root), **TINY}
    arguments = [argument for name, value in given.items() for argument in ("-p", name, value)]
    assert main(["export", "own_data", *arguments, "--onnx", "float32"]) == 0
    out = root / "exports" / f"my-pictures-{result.spec['folder']['digest'][:6]}-tr10-tr10-2-seed0"
    assert str(out) in capsys.readouterr().out
    assert onnx_form.load(out).config.classes == ("apple", "leaf", "sky")
    about, card = read_config(out).about, (out / "README.md").read_text()
    assert about["test"]["images"] == 15
    assert [about["test"]["base_top1"]] == [round(v, 2) for v in result.values("top1", "backbone", 0)]
    for chosen in about["chosen"]:
        (value,) = result.values("top1", f"anytime-{chosen['rule']}", 2)
        assert value == pytest.approx(chosen["top1"], abs=1e-4)
    assert about["onnx"]["float32"]["images"] == 15
    assert "Chosen on 15 validation images" in card and about["data"]["digest"] in card
    assert str(root) not in card + (out / "config.json").read_text()


def test_a_model_is_of_its_folders_content_and_the_command_that_trains_it_can_be_typed(
    picture_folder: Path, tmp_path: Path
) -> None:
    (spec,) = asked(picture_folder, tmp_path / "a root").specs()
    moved = picture_folder.rename(tmp_path / "now moved")
    (there,) = asked(moved, tmp_path / "a root").specs()
    assert steps(there).base == steps(spec).base
    with pytest.raises(ReproError) as refused:
        own_data.export(asked(moved, tmp_path / "a root"))
    assert f"-p root '{tmp_path / 'a root'}'" in str(refused.value) and f"-p folder '{moved}'" in str(refused.value)
    (moved / "train" / "sky" / "000.png").unlink()
    (changed,) = asked(moved, tmp_path).specs()
    assert steps(changed).base != steps(spec).base
    for changes, sentence in (({"folder": None}, "needs one that"), ({"evaluate": "validation"}, "choose test")):
        with pytest.raises(SpecError, match=sentence):
            spec.with_(**changes)
    with pytest.raises(SpecError, match="needs one that"):
        default_spec("smoke", "modes").with_(folder=spec.folder)


def made_up(spec: StudySpec, labels: torch.Tensor) -> Outputs:
    n, c = len(labels), spec.num_classes
    g = torch.Generator().manual_seed(0)
    logits = [torch.randn(n, *shape, c, generator=g) for shape in ((), (2,))]
    return Outputs(2 * logits[0], torch.rand(n, 2, generator=g).softmax(1), 3 * logits[1], labels)


def test_test_images_have_no_part_in_the_choice(picture_folder: Path, tmp_path: Path) -> None:
    parameters = asked(picture_folder, tmp_path)
    (spec,) = parameters.specs()
    validation, test = held_parts(spec)
    labels = torch.randint(0, 3, (30,), generator=torch.Generator().manual_seed(1))
    predicted = made_up(spec, labels).base_logits.argmax(1)  # with these labels the base is always right
    other = labels.clone()
    other[test] = predicted[test]
    one, two = (choices(spec, made_up(spec, each), 0.0) for each in (labels, other))
    assert [c.tau for c in one] == [c.tau for c in two] and [c.top1 for c in one] != [c.top1 for c in two]
    third = labels.clone()
    third[validation] = predicted[validation]
    three = choices(spec, made_up(spec, third), 0.0)
    assert [c.tau for c in one] != [c.tau for c in three]
    assert all(c.macs <= spec.cost.macs for c in one if c.rule == "same-cost") and [c.rule for c in one] == [
        "no-loss", "same-cost", "best"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"backbone": "tr10", "pretrained": True}, "no pretrained weights of tr10; set pretrained to false"),
        ({"batch_size": 500}, "batch_size: 500 is more than the 120 training images of my-pictures"),
        ({"num_experts": 20}, "20 experts need 200 training images at the least, and my-pictures has 120"),
        ({"crop": "half"}, "base_recipe.augmentation.crop: "),
        ({"example": "mnist", "folder": ""}, "there is no data set 'mnist'"),
        ({"root": "{0}/train/sky/000.png/root"}, "cannot read or write .*another folder with the parameter root"),
    ],
)
def test_wrong_parameters(wrong: dict[str, Any], sentence: str, picture_folder: Path, tmp_path: Path) -> None:
    wrong = {name: value.format(picture_folder) if name == "root" else value for name, value in wrong.items()}
    with pytest.raises((SpecError, DataError, ReproError), match=sentence):
        Parameters.check(**{"folder": str(picture_folder), "root": str(tmp_path), **TINY, **wrong})


def test_what_is_wrong_is_said_before_a_folder_is_made_and_what_is_recorded_needs_none(tmp_path: Path) -> None:
    for wrong in ({"epochs": -1}, {"backbone": "resnet18@layer9"}, {"gamma": "nan"}, {"batch_size": 0}):
        with pytest.raises(SpecError):
            Parameters.check(root=str(tmp_path), **wrong)
    parameters = Parameters.check(recorded=True, folder="/nowhere", root=str(tmp_path))
    assert parameters.specs() == [] and own_data.export(parameters) is None
    assert "Nothing is exported" in str(own_data.show_use(parameters, None).data)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("counts", "base", "experts"), [({"train": 40, "val": 2}, 300, 60), ({"": 350}, 24, 20)])
def test_epochs_of_a_small_folder_follow_from_steps(
    counts: dict[str, int], base: int, experts: int, tmp_path: Path
) -> None:
    """120 images are one batch of 64 and its half, which is dropped; 840 are 13, and an expert's 240 three."""
    parameters = Parameters.check(folder=str(write_pictures(tmp_path / "a", counts, (8, 8))), root=str(tmp_path))
    for given, epochs in ((None, base), (3, 3)):
        (spec,) = parameters.model_copy(update={"epochs": given}).specs()
        assert (spec.base_recipe.epochs, spec.expert_recipe.epochs) == (epochs, experts)


def test_what_learns_next_to_nothing(tmp_path: Path) -> None:
    """Colours that neighbours tell apart, and a class that is twice as frequent as the other two."""
    folder = write_pictures(tmp_path / "a", {"train": 20, "val": 10})
    for part, count in (("train", 10), ("val", 5)):
        for name in ("apple", "leaf"):
            for path in sorted((folder / part / name).iterdir())[count:]:
                path.unlink()
    (spec,) = asked(folder, tmp_path).specs()
    top1 = baselines(spec, tmp_path)
    assert top1["chance"] == pytest.approx(100 / 3) and top1["neighbours"] == 100
    assert top1["majority"] == pytest.approx(100 * 5 / 11)


FOLDER = {"name": "pets", "num_train": 800, "num_validation": 100, "num_test": 100}
COSTS = [cost_of(0, 10**7), cost_of(4, 2 * 10**7)]


@pytest.fixture
def result(record_of: RecordOf) -> StudyResult:
    values = {Cell(0): [80.0, 82.0], Cell(4): [84.0, 86.0]}
    values |= {Cell(0, "chance"): [10.0, 10.0], Cell(0, "majority"): [12.0, 12.0]}
    for rule, top1, macs in (("no-loss", 83.0, 12.0), ("same-cost", 85.0, 19.0), ("best", 86.0, 25.0)):
        method = f"anytime-{rule}"
        values |= {Cell(4, method): [top1, top1], Cell(4, method, metric="macs_millions"): [macs, macs]}
        values |= {Cell(4, method, metric="exits"): [60.0, 70.0], Cell(4, method, metric="experts"): [0.4, 0.6]}
    values[Cell(4, "anytime-no-loss", metric="tau")] = [0.25, 0.3]
    columns = ["seed", "tau", "macs", "top1", "top1_on_validation", "exits", "experts"]
    rows = [[seed, tau, macs, 80.0, 81.0, 50.0, 0.5] for seed in (0, 1) for tau, macs in ((0.0, 2e7), (1.0, 1e7))]
    return record_of(
        "own_data", values, dataset="pets", scale="own", costs=COSTS, base="resnet18", expert="resnet18",
        spec={"folder": FOLDER}, tables={"sweep": Table(columns=columns, rows=rows)},
    )  # fmt: skip


def with_more(result: StudyResult, cell: Cell, value: float) -> StudyResult:
    more = [cell.measurement(seed, value) for seed in (0, 1)]
    return result.model_copy(update={"measurements": [*result.measurements, *more]})


def test_the_table_and_the_picture(result: StudyResult) -> None:
    table = own_data.tables(result)["main"]
    assert table.frame["top-1, %"].tolist()[:3] == ["10.00 ± 0.00", "12.00 ± 0.00", "–"]
    frame = table.frame.iloc[3:]
    assert frame.iloc[0].tolist() == ["81.00 ± 1.41", "10.0", "100.0", "0", "–"]
    assert frame.iloc[1].tolist() == ["not run", "10.0", "100.0", "0", "–"] and frame.index[1] == own_data.LONGER
    assert frame.iloc[2].tolist() == ["85.00 ± 1.41", "20.0", "0.0", "1", "–"]
    assert frame.iloc[3].tolist() == ["83.00 ± 0.00", "12.0 ± 0.0", "65.0 ± 7.1", "0.50 ± 0.14", "0.25, 0.3"]
    assert frame.iloc[5]["threshold τ"] == "–, –"
    assert "100 validation" in table.caption and "resnet18, 2 seeds, 4 experts, 100 test images" in table.caption
    longer = own_data.tables(with_more(result, Cell(4, EQUAL_TRAINING), 83.0))["main"].frame
    assert longer.iloc[4].tolist() == ["83.00 ± 0.00", "10.0", "100.0", "0", "–"]
    (axes,) = own_data.figures([result])["main"].axes
    drawn = {line.get_label(): drawn_at(line) for line in axes.lines}
    assert drawn == {
        "any-time, over τ": ([20.0, 10.0], [80.0, 80.0]), "base alone": ([10.0], [81.0]),
        "one expert for every image": ([20.0], [85.0]),
    } | {label: line for label, line in drawn.items() if str(label).startswith("_")}  # fmt: skip


def test_the_sentences(result: StudyResult) -> None:
    """Of 100 images 4 are right in one of the two alone: 196 √(5/102 / 100) points, less than half of 10.1."""
    text = own_data.advice(result)
    assert "With 100 test images, differences of up to 10.1 points are within chance." in text and "beats" not in text
    assert "**What to do: leave it.**" in text and "together: not run (`-p control True`)." in text
    text = own_data.advice(with_more(result, Cell(0, "neighbours"), 80.0))
    assert "**None of this beats 5 nearest neighbours on 16 × 16 pixels (80.00 %) by more than chance" in text
    text = own_data.advice(with_more(result, Cell(4, metric="discordant"), 4.0))
    assert "part on 4.0 % of them: between these two up to 4.3 points." in text
    # Two fair coins of 10,000 tosses differ by 1.386 points in 19 of 20 cases; no number of images is certain.
    assert own_data.by_chance(50.0, 10_000) == pytest.approx(1.386, abs=1e-3)
    assert own_data.by_chance(100.0, 20) > own_data.by_chance(100.0, 2000) > 0


LONGER, MORE = "train the base longer instead", "add seeds or test images: "


@pytest.mark.parametrize(
    ("base", "longer", "what_to_do", "why"),
    [
        ([80.0, 82.0], [], "train the control, as a gain that it has too is not the mixture's", "+4.00 points"),
        ([80.0, 82.0], [86.0, 88.0], f"{LONGER}, which gains as much within chance: a gain", "to −2.00 against the"),
        ([80.0, 82.0], [81.0, 83.0], f"{MORE}whether longer training alone gains as much is undecided", "to +3.00 a"),
        ([80.0, 82.0], [83.0, 86.0], MORE, "to +0.50"),
        ([80.0, 82.0], [88.0, 90.0], f"{LONGER}, which gains more.", "to −4.00 against the base"),
        ([80.0, 82.0], [79.0, 81.0], "use it: longer training alone does not gain as much", "it is an anecdote"),
        ([83.0, 85.0], [84.0, 86.0], "leave it.", "+1.00 points against the base (chance: 3.4), and to +0.00"),
        ([83.0, 85.0], [89.0, 91.0], f"{LONGER}.", "to −5.00"),
        ([80.0, 82.0, 84.0], [79.0, 81.0, 83.0], "use it: ", "to +5.00 against the base trained as long as base and "
         "experts together (chance: 4.5)."),
        ([80.0, 82.0, 84.0], [80.0, 82.0, 84.0], MORE, "to +4.00"),
    ],
)  # fmt: skip
def test_a_gain_that_the_control_has_too_is_not_the_mixture_s(
    base: list[float], longer: list[float], what_to_do: str, why: str, record_of: RecordOf
) -> None:
    """Of 100 images two are right in one of two models alone: 3.4 points are chance; of three seeds, 4.5 (Welch)."""
    values = {Cell(0): base, Cell(4): [84.0, 86.0, 88.0][: len(base)], Cell(4, EQUAL_TRAINING): longer}
    values |= {Cell(4, method, metric="discordant"): [2.0] * len(base) for method in ("", EQUAL_TRAINING)}
    text = own_data.advice(record_of("own_data", values, dataset="pets", scale="own", spec={"folder": FOLDER}))
    assert f"**What to do: {what_to_do}" in text and why in text
    assert ("anecdote" in text) == ("use it" in text and len(base) < 3)
