"""How much memory is left: what the kernel says, and the limits of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from pytest_cam.engine.batches.memory import available_bytes, free_bytes, is_shortage

MIB = 2**20


def machine(root: Path, **files: str) -> Path:
    """Write files of `proc` and `sys`; "__" in a name stands for a slash."""
    for name, text in {"proc__meminfo": "MemTotal: 8192 kB\nMemAvailable:    4096 kB\n", **files}.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_what_the_kernel_calls_available_counts(tmp_path: Path) -> None:
    assert available_bytes(machine(tmp_path)) == 4 * MIB


def test_limit_of_a_group_of_version_2_counts_where_it_is_lower(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        proc__self__cgroup="0::/job/step\n",
        **{
            "sys__fs__cgroup__job__step__memory.max": "max\n",
            "sys__fs__cgroup__job__step__memory.current": "1000\n",
            "sys__fs__cgroup__job__memory.max": f"{3 * MIB}\n",
            "sys__fs__cgroup__job__memory.current": f"{2 * MIB}\n",
            "sys__fs__cgroup__job__memory.stat": "anon 1\ninactive_file 500\n",
        },
    )
    assert available_bytes(root) == MIB + 500


def test_limit_counts_whatever_bytes_the_group_is_named_with(tmp_path: Path) -> None:
    group = os.fsdecode(b"caf\xe9")
    root = machine(
        tmp_path,
        **{
            f"sys__fs__cgroup__{group}__memory.max": f"{3 * MIB}\n",
            f"sys__fs__cgroup__{group}__memory.current": f"{2 * MIB}\n",
        },
    )
    (root / "proc/self").mkdir()
    (root / "proc/self/cgroup").write_bytes(b"0::/caf\xe9\n")
    assert available_bytes(root) == MIB


def test_limit_of_a_group_of_version_1_counts_where_it_is_lower(tmp_path: Path) -> None:
    # The path is the host's, and in the container only the mount itself is there.
    root = machine(
        tmp_path,
        proc__self__cgroup="5:cpu,cpuacct:/\n4:memory:/docker/1234\n0::/\n",
        **{
            "sys__fs__cgroup__memory__memory.limit_in_bytes": f"{2 * MIB}\n",
            "sys__fs__cgroup__memory__memory.usage_in_bytes": f"{MIB}\n",
        },
    )
    assert available_bytes(root) == MIB


def test_limit_above_what_the_machine_has_does_not_count(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        proc__self__cgroup="0::/\n",
        **{"sys__fs__cgroup__memory.max": f"{900 * MIB}\n", "sys__fs__cgroup__memory.current": "0\n"},
    )
    assert available_bytes(root) == 4 * MIB


def test_group_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        proc__self__cgroup="0::/\n",
        **{"sys__fs__cgroup__memory.max": "5\n", "sys__fs__cgroup__memory.current": "7\n"},
    )
    assert available_bytes(root) == 0


def test_system_that_says_nothing_counts_a_quarter_of_its_memory(tmp_path: Path) -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert available_bytes(tmp_path) == int(pages / 4)


def test_this_machine_has_some_left_but_not_more_than_it_has() -> None:
    assert 0 < free_bytes(torch.device("cpu")) < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_torch_holds_unused_of_a_gpu_counts_as_free() -> None:
    device = torch.device("cuda")
    tensor = torch.empty(64 * MIB, dtype=torch.uint8, device=device)
    before = free_bytes(device)
    del tensor
    assert free_bytes(device) >= before + 64 * MIB


def test_shortage_on_the_cpu_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as too_much:
        torch.empty(2**50)
    with pytest.raises(RuntimeError) as shapes:
        torch.ones(2) + torch.ones(3)
    assert is_shortage(too_much.value)
    assert not is_shortage(shapes.value)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.cuda.OutOfMemoryError(), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (ValueError("out of memory"), False),
        (Fail("BFCArena::AllocateRawInternal(size_t) Failed to allocate memory for requested buffer of size 9"), True),
        (RuntimeException("Status Message: std::bad_alloc"), True),
        (RuntimeException("Status Message: bad allocation"), True),
        (RuntimeException("CUDA failure 2: out of memory"), True),
        (Fail("Status Message: axis must be in [-3, 2]"), False),
        (ValueError("std::bad_alloc"), False),
    ],
)
def test_shortage_is_known_by_its_kind_or_its_words(error: Exception, is_one: bool) -> None:
    assert is_shortage(error) == is_one
