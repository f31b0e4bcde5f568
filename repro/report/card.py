"""The model card of an exported mixture: Markdown made of its ``config.json`` alone."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from repro.method.export import Config
from repro.progress import duration


def model_card(config: Config) -> str:
    """What it is, how to use it, what it does on test images, what it was trained on, how, and under what terms.

    Every number is one of ``config``, and one that is missing is an error.
    """
    loader = PackageLoader("repro.report", ".")
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters |= {
        "millions": lambda count: f"{count / 1e6:.1f}",
        "two": lambda value: f"{value:.2f}",
        "duration": duration,
    }
    experts = "1 expert" if config.num_experts == 1 else f"{config.num_experts} experts"
    return environment.get_template("model_card.md.j2").render(c=config, experts=experts, **config.about)
