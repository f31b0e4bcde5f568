"""Time: what is left of the work, and what is left of the time."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from repro import progress
from repro.progress import DEADLINE, Progress, join, joined, late, time_limit


def test_work_is_late_that_would_end_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DEADLINE not in os.environ
    with time_limit(None):
        assert not late(1e9)
    now = [1000.0]
    monkeypatch.setattr(progress.time, "time", lambda: now[0])
    with time_limit(10):  # 600 seconds, of which 15 are kept for tidying up
        assert not late() and not late(584) and late(586)
        now[0] += 300
        assert not late(284) and late(286)
        with time_limit(1):
            assert not late(56) and late(58), "of a short time, a twentieth is kept"
        assert late(286) and not late(284), "the outer limit holds again"
        now[0] += 286
        assert late()
    assert not late(1e9)


def test_seconds_follow_from_the_rate_so_far() -> None:
    now = [0.0]
    progress = Progress(100.0, clock=lambda: now[0])
    assert progress.seconds(10) == 0, "nothing is known yet"
    now[0] = 5.0
    progress.advance(20, lambda: "a fifth")
    assert progress.seconds(10) == pytest.approx(2.5)
    assert progress.time_left() == "20 s left"
    progress.stage = "the trials"
    assert progress.time_left() == "20 s left of the trials"


def _a_worker_s_share(work: float) -> None:
    study = joined()
    assert study
    study.advance(work, lambda: "a share")


def _say_outside_of_jupyter(text: str) -> None:
    del os.environ["JPY_PARENT_PID"]
    progress.say(text)


def test_processes_that_share_a_progress_count_together_and_are_late_when_the_study_stops(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "1")  # as Jupyter sets it for its kernels
    study = Progress(100.0)
    study.skip(20.0)
    study.share()
    with ProcessPoolExecutor(1, get_context("spawn"), join, (study,)) as pool:
        pool.submit(_a_worker_s_share, 30.0).result()
        study.advance(50.0, lambda: "the rest")
        assert study.time_left() == "0 s left" and study.seconds(80.0) > 0
        assert joined() is None, "only a worker joins"
        assert not pool.submit(late).result()
        study.stop()
        assert pool.submit(late).result() and not late(), "the one who stopped it may tidy up"
        pool.submit(progress.say, "at work").result()
        pool.submit(_say_outside_of_jupyter, "elsewhere").result()
    out, err = capfd.readouterr()
    assert ("at work" in out, "at work" in err) == (True, False), "in a notebook not in red"
    assert ("elsewhere" in out, "elsewhere" in err) == (False, True)


def test_a_notebook_shows_progress_as_output_and_not_in_red(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.say("at work")
    assert capsys.readouterr() == ("", "at work\n"), "a command's standard output is its result"
    of_terminal, terminal = os.pipe()
    monkeypatch.setattr(sys.stderr, "_original_stdstream_copy", terminal, raising=False)  # as in a kernel
    progress.say("at work")
    assert capsys.readouterr() == ("at work\n", "") and os.read(of_terminal, 100) == b"at work\n"
