"""What the tests of the study share."""

import pytest

from tests.study import toy


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    toy.CALLS.clear()
    toy.EPOCHS.clear()
