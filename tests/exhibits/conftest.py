"""What the tests of single exhibits share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def smoke_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One root for runs at smoke scale: what one exhibit trains the next finds."""
    return tmp_path_factory.mktemp("smoke")
