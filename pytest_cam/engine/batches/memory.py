"""How much memory a device has left, and how a shortage of it shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

# Of torch's own errors: the allocators of the CPU on Linux and on Windows, those of CUDA, cuDNN, cuBLAS and MPS.
_SHORTAGE = ("can't allocate memory", "not enough memory", "out of memory", "alloc_failed")
# Of those of ONNX Runtime, which also hands on what the C++ libraries of Linux and of Windows say.
_SHORTAGE_OF_SESSIONS = (*_SHORTAGE, "failed to allocate memory", "bad_alloc", "bad allocation")

# What is assumed to be free of a machine's memory where the system does not say, and where even that is unknown.
_FREE_OF_TOTAL = 0.25
_UNKNOWN = 2**30

# Control groups, versions 2 and 1: where they lie, and the names of a group's limit and of what it uses.
_GROUPS = (
    ("", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("", "sys/fs/cgroup/unified", "memory.max", "memory.current", "inactive_file"),
    (
        "memory",
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def free_bytes(device: torch.device) -> int:
    """Return how many bytes can still be allocated on a device.

    On CUDA that is what the driver has left and what torch holds of it without using it. Any other device is taken to
    share the memory of the CPU.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    return available_bytes()


def available_bytes(root: Path = Path("/")) -> int:
    """Return how many bytes of the machine's memory this process may still take.

    On Linux that is what the kernel calls available, or what the process's control group (versions 1 and 2) and those
    above it leave of their limits, if that is less. Elsewhere it is a quarter of all memory, or 1 GiB where that is
    not known.

    Args:
        root: The directory that holds `proc` and `sys`.
    """
    known = _meminfo(root / "proc/meminfo")
    return max(0, min([_fallback() if known is None else known, *_left_in_groups(root)]))


def is_shortage(error: BaseException) -> bool:
    """Return whether an error says that memory ran out."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    words: tuple[str, ...] = _SHORTAGE if isinstance(error, RuntimeError) else ()
    # Its errors have no base of their own, and it need not be there.
    if type(error).__module__.startswith("onnxruntime"):
        words = _SHORTAGE_OF_SESSIONS
    return any(each in str(error).lower() for each in words)


def _meminfo(path: Path) -> int | None:
    for line in _text(path).splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _fallback() -> int:
    try:
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * _FREE_OF_TOTAL)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, and other systems not all of its names
        return _UNKNOWN


def _left_in_groups(root: Path) -> Iterator[int]:
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller, mount, limit, used, cache in _GROUPS:
            if controller not in controllers.split(","):
                continue
            own = Path(path.lstrip("/"))
            # In a container the path may be that of the host, while the mount is the container's own group.
            for group in (own, *own.parents):
                most, usage = (_number(root / mount / group / name) for name in (limit, used))
                if most is not None and usage is not None:
                    yield most - usage + _entry(root / mount / group / "memory.stat", cache)


def _entry(path: Path, name: str) -> int:
    """Return one number of a group's statistics: here, of file contents that the kernel drops when memory is asked."""
    found = (line.split()[1] for line in _text(path).splitlines() if line.split()[:1] == [name])
    return int(next(found, 0))


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes())  # paths of groups may be in any encoding
    except OSError:
        return ""
