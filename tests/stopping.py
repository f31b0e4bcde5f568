"""A run that is stopped right after an epoch is on disk."""

import pytest


class Stop(Exception):
    """Stands for whatever stops a run."""


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two numbers: epochs that were kept so far, which a test may read, and at how many to stop, which it may set."""
    from repro.training import fit  # not before conftest has chosen torch's threads

    save, epochs = fit.save_checkpoint, [0, 0]

    def saving(*arguments: object) -> None:
        save(*arguments)  # type: ignore[arg-type]
        epochs[0] += 1
        if epochs[0] == epochs[1]:
            raise Stop

    monkeypatch.setattr(fit, "save_checkpoint", saving)
    return epochs
