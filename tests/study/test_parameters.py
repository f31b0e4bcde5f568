"""Notebook parameters: wrong ones end in a sentence, before any work."""

from pathlib import Path
from typing import Any

import pytest

from repro.errors import SpecError
from repro.exhibits import exhibit
from repro.exhibits.table2_num_experts import Parameters


def test_lists_of_numbers_in_every_form() -> None:
    for given, meant in (("0,1,2", (0, 1, 2)), (3, (3,)), ([4, 5], (4, 5)), ("[1, 2]", (1, 2)), ("7", (7,))):
        assert Parameters.check(seeds=given).seeds == meant


def test_the_command_says_what_was_asked() -> None:
    parameters = Parameters.check(scale="laptop", dataset="cifar100", seeds="0,1", root="somewhere")
    assert parameters.command("t") == "repro run t -p scale laptop -p dataset cifar100 -p seeds 0,1"

    here = f"repro run t -p scale laptop -p dataset cifar100 -p seeds 0,1 -p root {Path('somewhere').resolve()}"
    assert parameters.command("t", here=True) == here
    assert Parameters.check().command("t", here=True) == "repro run t"
    none = exhibit("sparse_placement").parameters.check(others="")
    assert none.command("s") == "repro run s -p others ''"
    two = exhibit("deepmoe_choices").parameters.check(alternatives="λ = 0,gates on inputs")
    assert two.command("c") == "repro run c -p alternatives 'λ = 0,gates on inputs'", "it can be typed as it stands"


@pytest.mark.parametrize(
    ("name", "given", "part"),
    [
        ("sparse_placement", {"seeds": "0,1", "placements": "none,last-2", "others": "l2", "others_seeds": 1}, ""),
        ("sparse_placement", {"network": "vit-micro", "top_k": 2}, "vit-micro-top-2"),
        ("sparse_placement", {"experts": 4}, "4-experts"),
        ("sparse_routing", {"network": "vit-micro", "placement": "every-2"}, "vit-micro-every-2"),
    ],
)
def test_what_differs_from_the_default_network_is_recorded_apart(name: str, given: dict[str, Any], part: str) -> None:
    asked: Any = exhibit(name).parameters.check(scale="smoke", **given)
    assert asked.part() == part


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"sclae": "quick"}, "there is no field 'sclae' .*scale, dataset, seeds, root, device"),
        ({"scale": "big"}, "choose one of smoke, quick, laptop, gpu, paper"),
        ({"dataset": "mnist"}, "scale 'quick' has no 'mnist'; choose one of modes"),
        ({"scale": "laptop", "dataset": "modes"}, r"'laptop' has no 'modes'; .* cifar10.*\(or scale 'smoke'\)"),
        ({"seeds": "a"}, "seeds: .*whole numbers, such as 0,1,2"),
        ({"seeds": "1,1"}, "seeds: .*different whole numbers"),
        ({"seeds": "-1"}, "seed: "),
        ({"experts": "0"}, "num_experts: .*greater than or equal to 1, not 0"),
        ({"experts": None}, "experts: "),
        ({"device": 5}, "device: "),
        ({"device": "abc"}, "device: there is no 'abc'; choose auto, cpu, cuda or cuda:N"),
        ({"seeds": float("inf")}, "seeds: .*whole numbers"),
        ({"experts": []}, "experts: .*one or more different whole numbers"),
        ({"executor": "slurm"}, "executor: there is no 'slurm'; choose one of auto, serial"),
        ({"compile": "fast"}, "compile: there is no 'fast'; choose one of auto, off"),
    ],
)
def test_wrong_parameters(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        Parameters.check(**wrong)


def test_what_papermill_injects_is_seen_and_other_variables_are_not() -> None:
    namespace: dict[str, Any] = {"In": ["", "scale = 'quick'", "# Parameters\nscale = 'smoke'\nsneed = 1\n"]}
    namespace |= {"scale": "smoke", "sneed": 1, "my_own_variable": 2}
    with pytest.raises(SpecError, match="there is no field 'sneed'"):
        Parameters.from_notebook(namespace)
    del namespace["sneed"]
    assert Parameters.from_notebook(namespace).scale == "smoke"
