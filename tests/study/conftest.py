"""A study small enough to train in a second or two."""

import pytest

from repro.study.scales import default_spec
from repro.study.spec import StudySpec


@pytest.fixture(scope="session")
def tiny() -> StudySpec:
    """Three experts on 400 images of ``modes``, smoke recipes."""
    return default_spec("smoke", "modes").with_(width=0.0625, num_experts=3)
