"""Where and in which arithmetic a study runs."""

from __future__ import annotations

import contextlib
import ctypes
import platform
import re
from contextlib import AbstractContextManager

import torch

from repro.errors import SpecError

EVALUATION_BATCH = 512


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` takes a GPU if there is one; ``cpu``, ``cuda``, ``cuda:1`` are taken at their word.

    On a GPU each process tries which of cuDNN's kernels is fastest; they add in different orders, some of them in
    another one each time. So two runs of a seed there differ, where on a CPU they agree to the last bit.
    """
    torch.backends.cudnn.benchmark = True  # batches have few shapes: the fastest kernel of each is looked for
    if not re.fullmatch(r"auto|cpu|cuda(:\d\d?)?", name):
        raise SpecError(f"device {name!r} is not supported; choose auto, cpu, cuda or cuda:N")
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(automatic if name == "auto" else name)
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise SpecError(f"device {name!r} is not here ({torch.cuda.device_count()} GPUs found); choose auto or cpu")
    if device.type == "cpu":
        keep_freed_memory()
    return device


def keep_freed_memory() -> None:
    """Memory that tensors free stays with the process, for the next step: glibc otherwise returns it to the system.

    To be given the pages of a step anew takes an eighth of a step on a CPU. Where libc is another, nothing is done.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no mallopt, or no libc that could be asked
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no mappings of their own for large tensors
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD, in bytes


def bf16_is_fast(device: torch.device) -> bool:
    """Whether bf16 has hardware behind it: any recent GPU; on x86 the avx512_bf16 or amx instructions."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def precision(device: torch.device) -> str:
    """``bf16`` (autocast, where it is fast) or ``fp32``."""
    return "bf16" if bf16_is_fast(device) else "fp32"


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done all that it was given: before a clock is read, never within an epoch."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """The context in which networks run on ``device``: bf16 autocast where it is fast, else fp32."""
    if bf16_is_fast(device):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def hardware(device: torch.device) -> str:
    """A line about the machine for the record, e.g. ``AMD EPYC 9B45, 2 threads``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' * (threads > 1)}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
