"""What the study found that the papers do not say, each in a sentence whose numbers come from records or from code."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from repro.exhibits import table4_dynamic_routing, table5_per_class
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.sparse.cost import sparse_cost
from repro.models.cost import model_cost
from repro.report.claim import Cell
from repro.report.left_out import fact
from repro.report.numbers import where_run
from repro.report.printed import sweetspot_rows
from repro.report.verdict import EQUIVALENT, difference, summary_of
from repro.study.results import StudyResult


def learned(results: Sequence[StudyResult]) -> list[tuple[str, str]]:
    """(exhibit that shows more, sentence); what the records do not bear out is left out."""
    real = [r for r in results if r.dataset != "modes"]
    lines = (
        ("table2_num_experts", two_networks(real)),
        ("table5_per_class", oracle(real)),
        ("table4_dynamic_routing", table4_column()),
        ("deepmoe_table2_cifar", deepmoe_accounting()),
        ("sparse_placement", vit_every_2()),
    )
    return [(name, sentence) for name, sentence in lines if sentence]


def two_networks(results: Sequence[StudyResult]) -> str:
    """Two whole networks against the most experts, where their means are within a point; no test of equivalence."""
    found = []
    for r in results:
        if r.study != "table2_num_experts":
            continue
        most = r.most_experts()
        two, all_of_it = summary_of(r, Cell(1, "two networks")), summary_of(r, Cell(most))
        if two and all_of_it and abs(two.mean - all_of_it.mean) < EQUIVALENT:
            found.append(f"{two.mean:.1f} against {all_of_it.mean:.1f} % of {most} experts ({where_run(r)})")
    cost = fact("poster/price").text
    return (
        f"The mean accuracy of two plain networks, averaged, is within {EQUIVALENT:g} point of the mixture's: "
        f"{', '.join(found)}. The poster's "
        f"“1 expert” is such a pair of networks, which costs {cost} as much as a base and one expert on its trunk."
    ) if found else ""  # fmt: skip


def oracle(results: Sequence[StudyResult]) -> str:
    """How much of the oracle's gain the base alone has when it is told the same group of classes."""
    found = []
    for r in results:
        if r.study != table5_per_class.NAME:
            continue
        k, row = r.most_experts(), "per-class-oracle"
        gained = difference(r, Cell(k, row=row), Cell(k, row="per-class"))
        label = difference(r, Cell(k, "backbone", row), Cell(0))
        if gained and label and label.mean > gained.mean / 2:
            found.append(
                f"{gained.mean:.1f} points, and {label.mean:.1f} to the base without any expert ({where_run(r)})"
            )
    return (
        "The oracle gate of Table 5 gives away part of the label: naming the group of an image's class brings the "
        f"mixture {', '.join(found)}."
    ) if found else ""  # fmt: skip


def table4_column() -> str:
    """What Table 4's column of parameters holds."""
    shown = table4_dynamic_routing.counts()["counts"].frame
    column = shown[shown.index.str.endswith(", training")]
    kind = column["by our count"].str.partition(" ")[0]
    macs, parameters = (column["match"][kind == name] == "match" for name in ("multiply-adds", "parameters"))
    return (
        "In the left half of Table 4 the column “#params (train)” holds multiply-adds (MACs): read so, "
        f"{macs.sum()} of its {len(macs)} numbers come out, and as parameters {parameters.sum()} of {len(parameters)} "
        "readings do."
    )


def deepmoe_accounting() -> str:
    """A wide ResNet-18 with half of its channels active, counted both ways, against the narrow one."""
    cost = deepmoe_cost(DeepMoEConfig(backbone="resnet18", width=2.0, num_classes=1000, image_size=224))
    narrow = model_cost("resnet18", None, 1000, 224, 0).base_macs
    half = torch.full((1, len(cost.sizes)), 0.5, dtype=torch.float64)
    naive, honest = ((float(cost.at_shares(half, how)) - cost.gating_macs) / 1e9 for how in ("naive", "honest"))
    return (
        "DeepMoE's “twice as wide, half of the channels active” costs what the narrow network costs only if its "
        f"residual stream were as sparse: ResNet-18 then has {naive:.2f} G MACs (narrow: {narrow / 1e9:.2f} G), but "
        f"the stream holds all that was added to it, and with it they may be {honest:.2f} G."
    )


def vit_every_2() -> str:
    """ViT-S with every second MLP a mixture, against the dense one."""
    rows = [row for row in sweetspot_rows() if row.table == "2" and row.config.network == "vit-s"]
    dense, mixed = (sparse_cost(row.config).macs / 1e9 for row in rows)
    return (
        "The sweet-spot paper's gains of ViT with Every 2 are not at equal cost: two experts of full width a token "
        f"make {mixed:.1f} G MACs of {dense:.1f} G, {100 * (mixed / dense - 1):.0f} % more."
    )
