"""What a process asks of the machine."""

import subprocess
import sys

import pytest

from repro.errors import SpecError
from repro.training.device import pick_device

FAULTS = """
import resource, torch
from repro.training.device import pick_device

def pages(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for i in range(times):
        torch.ones(16_000_000 - 10_000 * i)  # each fits where the one before it was, however that was aligned
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = pages(3)
pick_device("cpu")
torch.ones(16_100_000)
print(fresh, pages(3))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
def test_memory_that_tensors_free_is_used_again() -> None:
    """Of three tensors of 64 MB, one after the other, none needs a new page; 15,625 each otherwise."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    fresh, kept = map(int, done.stdout.split())
    if fresh < 1000:
        pytest.skip("this libc keeps freed memory by itself")
    assert kept < fresh / 100


@pytest.mark.parametrize("name", ["mps", "xpu", "meta"])
def test_devices_on_which_nothing_was_tried_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match=f"^device '{name}' is not supported; choose auto, cpu, cuda or cuda:N$"):
        pick_device(name)
