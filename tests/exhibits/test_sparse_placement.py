"""The placement exhibit: trained at smoke scale, and shown with made-up numbers and with parts missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from repro.cli.direct import remaining_of
from repro.data.augment import Augmentation
from repro.errors import SpecError
from repro.exhibits.sparse_placement import EXHIBIT, Parameters, cell
from repro.families.sparse.scales import sparse_spec
from repro.families.sparse.steps import chosen_experts, goal, load_network, steps
from repro.families.sparse.training import predict
from repro.report.tables import claims_table
from repro.study.graph import Context, build
from repro.study.results import StudyResult, load_results
from repro.study.runner import Runner
from repro.study.sources import Sources
from repro.study.store import Store

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the exhibit was run at smoke scale."""
    folder = tmp_path_factory.mktemp("root")
    EXHIBIT.run(Parameters.check(scale="smoke", placements="none,last-2", root=folder))
    return folder


@pytest.fixture
def result(root: Path) -> StudyResult:
    (found,) = load_results(root / "results", "sparse_placement").values()
    return found


def test_a_run_measures_every_network_and_mixture(result: StudyResult) -> None:
    assert result.rows() == [
        "convnext none", "convnext last-2", "convnext last-2, mixture 1", "convnext last-2, mixture 2",
    ]  # fmt: skip
    assert len(result.values("top1", "dense", 0, "convnext none")) == 1
    (most,), (least,) = (result.values(m, "sparse", 8, "convnext last-2, mixture 2") for m in ("largest", "smallest"))
    assert 0 <= least <= 1 <= most <= 8
    (experts,) = result.values("experts", "sparse", 8, "convnext last-2, mixture 1")
    assert 1 <= experts <= 8
    dense, sparse = result.costs
    assert 0 < sparse.macs - dense.macs < 0.02 * dense.macs and sparse.params_trainable > 2 * dense.params_trainable
    assert result.provenance.command == "repro run sparse_placement -p scale smoke -p placements none,last-2"


def test_what_is_in_the_store_is_the_network_that_made_the_predictions(root: Path) -> None:
    spec = sparse_spec("smoke", "modes", 0, placement="last-2")
    context = Context(Store(root), Sources(root, CPU), CPU)
    runner = Runner([goal(spec)], context)
    runner.run(goal(spec).steps)
    assert not runner.made, "trained again"
    kept = runner.load(steps(spec).predictions).tensors
    network = load_network(spec, runner.load(steps(spec).network))
    found = predict(network, context.sources.batches(spec, "evaluation", Augmentation()), CPU)
    assert found.keys() | {"macs"} == kept.keys() and all(torch.equal(found[name], kept[name]) for name in found)
    assert [tuple(experts.shape) for experts in chosen_experts(spec, kept)] == [(100, 64, 1), (100, 16, 1)]


def test_status_speaks_of_it(root: Path) -> None:
    told = remaining_of(["sparse_placement"], {"scale": "smoke", "placements": "none,every-2", "root": str(root)})
    assert "finished  convnext-micro, dense, on modes, seed 0" in told
    assert "remains   convnext-micro, every-2 of 8 experts, on modes, seed 0: 0 of 2 artifacts are there" in told


def test_a_worker_builds_the_same_steps_from_text() -> None:
    asked = goal(sparse_spec("smoke", "modes", 3))
    assert build(asked.builder, asked.config).steps == asked.steps


def test_keys_depend_on_what_weights_depend_on() -> None:
    def key(seed: int = 0, **model: object) -> str:
        return steps(sparse_spec("smoke", "modes", seed, **model)).network.key

    keys = [key(), key(1), key(placement="every-2"), key(noise=0.0), key(expert_init="shared")]
    assert len(set(keys)) == len(keys) and key() == keys[0]
    spec = sparse_spec("smoke", "modes", 0)
    fewer = spec.model_copy(update={"num_test": 50})
    assert steps(fewer).network == steps(spec).network and steps(fewer).predictions != steps(spec).predictions


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"scale": "paper"}, "choose one of smoke, quick, laptop, gpu"),
        ({"dataset": "cifar100"}, "scale 'quick' has no 'cifar100'"),
        ({"network": "convnext-x"}, "there is no 'convnext-x'; choose one of convnext-t"),
        ({"placements": "first-2"}, "placement"),
        ({"network": "vit-micro", "placements": "stage"}, "needs stages"),
        ({"top_k": 9}, "9 experts of 8 cannot be chosen"),
    ],
)
def test_what_cannot_be_asked_for_ends_in_a_sentence(asked: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Parameters.check(**asked)


def made(made_of: Callable[..., StudyResult], seeds: int) -> StudyResult:
    def about(value: float) -> list[float]:
        return [value + 0.1 * seed for seed in range(seeds)]

    values = {"none": 60.0, "last-2": 61.0, "every-2": 59.0}
    cells = [(cell("convnext", name), value) for name, value in values.items()]
    return made_of(
        "sparse_placement",
        {("top1", c.measured_as, c.num_experts, c.row): about(value) for c, value in cells},
        "cifar100",
    )


def test_claims_are_differences_of_placements(made_of: Callable[..., StudyResult]) -> None:
    claims = claims_table(EXHIBIT.judge(made(made_of, 3)))
    assert list(claims.index) == ["V1/convnext", "V1/vit", "V3/convnext", "V3/vit"]
    assert (claims.loc["V1/convnext", "ours"], claims.loc["V1/convnext", "verdict"]) == ("+1.00", "holds")
    assert (claims.loc["V3/convnext", "ours"], claims.loc["V3/convnext", "paper"]) == ("+2.00", "+0.30")
    assert claims.loc["V3/vit", "verdict"] == "not run" and claims.loc["V3/vit", "paper"] == "+0.20"
    assert claims_table(EXHIBIT.judge(made(made_of, 1))).loc["V1/convnext", "verdict"] == "one seed: an anecdote"


def test_the_paper_stands_beside_ours(made_of: Callable[..., StudyResult]) -> None:
    table = EXHIBIT.tables(made(made_of, 3))["main"].frame
    assert table.loc["Last 2", "paper"] == "82.10" and table.loc["Last 2", "ours"] == "61.10 ± 0.10"
    assert table.loc["Every 2", "paper"] == "81.80" and "verdict" not in table
    text = EXHIBIT.read(made(made_of, 3))
    assert text.startswith("ViT's gains with Every 2 are not at equal multiply-adds") and "30 % more" in text


def test_counted_costs_need_no_run() -> None:
    table = EXHIBIT.exact()["printed"].frame
    assert table.loc["Table 3: convnext-t last-2 8", "match"] == "match"
    mismatches = table.index[table["match"] == "mismatch"]
    assert list(mismatches) == [
        "Table 3: convnext-t every-2 8", "Table 5: convnext-t every-2 8", "Table 5: convnext-t stage 8",
        "Table 5: convnext-t last-3 8",
    ]  # fmt: skip


def test_figures_and_tables_with_parts_missing(made_of: Callable[..., StudyResult], result: StudyResult) -> None:
    empty = made_of("sparse_placement", {})
    assert EXHIBIT.tables(empty)["main"].frame.empty and "not at equal" in EXHIBIT.read(empty)
    for results in ([result], [made(made_of, 3), empty]):
        assert EXHIBIT.drawn(results)["main"].startswith("<?xml")
