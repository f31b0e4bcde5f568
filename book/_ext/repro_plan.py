"""Directives of the plan page: what each run at the paper's scale costs, counted, beside what it took.

```{plan-of-runs}```   every run in order: work, expected and recorded minutes, its command
```{plan-goals}```     what is aimed at, and the share of the card's peak that it takes
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from repro.report import plan
from repro.study.parameters import results_folder


class PlanOfRuns(SphinxDirective):
    """The plan, with what was recorded."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(results_folder()))
        commands = nodes.literal_block(plan.commands(), plan.commands(), language="sh")
        return [nodes.raw("", plan.plan_table(results_folder()).in_page(), format="html"), commands]


class PlanGoals(SphinxDirective):
    """The goals."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", plan.goals_table().in_page(), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("plan-of-runs", PlanOfRuns)
    app.add_directive("plan-goals", PlanGoals)
    return {"version": Path(__file__).stem, "parallel_read_safe": True}
