"""Memory and cores are those that the tightest control group around this process leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellucid_dask.compute.control_groups import group_cores, group_headrooms

MB = 10**6
V1_MOUNT = "35 31 0:32 {top} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
V2_MOUNT = "41 31 0:38 {top} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
OTHERS = (
    "24 1 0:5 / /proc rw - proc proc rw\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"
)
V1_UNLIMITED = str(2**63 - 4096)


def make_root(root: Path, cgroup: str, *mounts: str) -> Path:
    """Write ``/proc/self`` of a machine below `root`."""
    folder = root / "proc/self"
    folder.mkdir(parents=True)
    (folder / "cgroup").write_text(cgroup)
    (folder / "mountinfo").write_text("\n".join([OTHERS, *mounts]) + "\n")
    return root


def make_v2(folder: Path, limit: str, used: int, cache: int = 0, high: str = "max") -> None:
    """Write the files of a group of version 2, of which `cache` bytes are file cache."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.high").write_text(f"{high}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    third = cache // 3
    stat = {"anon": used - cache, "inactive_file": third, "active_file": third}
    stat |= {"slab_reclaimable": cache - 2 * third, "shmem": 7}
    (folder / "memory.stat").write_text("".join(f"{k} {v}\n" for k, v in stat.items()))


def make_v1(folder: Path, limit: str, used: int, cache: int = 0) -> None:
    """Write the files of a group of version 1; its own part of the cache is 1 byte."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    stat = {"inactive_file": 1, "total_inactive_file": cache // 2}
    stat |= {"total_active_file": cache - cache // 2}
    (folder / "memory.stat").write_text("".join(f"{k} {v}\n" for k, v in stat.items()))


def test_every_group_up_to_the_root_bounds_the_process_v2(tmp_path: Path) -> None:
    root = make_root(tmp_path, "0::/slurm/job_7/step_0\n", V2_MOUNT.format(top="/"))
    top = root / "sys/fs/cgroup"
    make_v2(top / "slurm/job_7/step_0", "max", 50 * MB)
    make_v2(top / "slurm/job_7", str(900 * MB), 300 * MB, cache=90 * MB)
    make_v2(top / "slurm", str(4000 * MB), 1000 * MB)
    assert sorted(group_headrooms(root)) == [690 * MB, 3000 * MB]


def test_the_innermost_group_may_be_the_tightest_v2(tmp_path: Path) -> None:
    root = make_root(tmp_path, "0::/user.slice/run\n", V2_MOUNT.format(top="/"))
    make_v2(root / "sys/fs/cgroup/user.slice/run", str(600 * MB), 100 * MB)
    make_v2(root / "sys/fs/cgroup/user.slice", str(8000 * MB), 100 * MB)
    assert min(group_headrooms(root)) == 500 * MB


def test_memory_high_bounds_as_well(tmp_path: Path) -> None:
    """A group above it is slowed down until it seems to hang."""
    root = make_root(tmp_path, "0::/run\n", V2_MOUNT.format(top="/"))
    make_v2(root / "sys/fs/cgroup/run", str(900 * MB), 100 * MB, high=str(400 * MB))
    assert group_headrooms(root) == [300 * MB]


def test_every_group_up_to_the_root_bounds_the_process_v1(tmp_path: Path) -> None:
    cgroup = "9:name=systemd:/\n4:memory:/slurm/uid_1/job_7/step_0\n3:cpuset:/other\n"
    root = make_root(tmp_path, cgroup, V1_MOUNT.format(top="/"))
    top = root / "sys/fs/cgroup/memory"
    make_v1(top / "slurm/uid_1/job_7/step_0", V1_UNLIMITED, 50 * MB)
    make_v1(top / "slurm/uid_1/job_7", str(900 * MB), 300 * MB, cache=100 * MB)
    make_v1(top / "slurm/uid_1", str(800 * MB), 300 * MB)
    make_v1(top, V1_UNLIMITED, 9000 * MB)
    make_v1(root / "sys/fs/cgroup/memory/other", str(MB), 0)
    assert sorted(group_headrooms(root)) == [500 * MB, 700 * MB]


@pytest.mark.parametrize("path", ["/", "/../../job_7"])
def test_in_a_namespace_the_top_of_the_mount_is_the_group(tmp_path: Path, path: str) -> None:
    root = make_root(tmp_path, f"0::{path}\n", V2_MOUNT.format(top="/"))
    make_v2(root / "sys/fs/cgroup", str(900 * MB), 300 * MB)
    make_v2(root / "job_7", str(MB), 0)
    assert group_headrooms(root) == [600 * MB]


def test_a_container_may_show_its_group_as_the_top_of_the_mount(tmp_path: Path) -> None:
    """As Docker mounts version 1: the path is that of the host, the files are not below it."""
    root = make_root(tmp_path, "4:memory:/docker/ab12\n", V1_MOUNT.format(top="/docker/ab12"))
    make_v1(root / "sys/fs/cgroup/memory", str(900 * MB), 300 * MB)
    assert group_headrooms(root) == [600 * MB]


def test_both_versions_at_once(tmp_path: Path) -> None:
    cgroup = "4:memory:/job\n0::/job\n"
    mounts = (V1_MOUNT.format(top="/"), V2_MOUNT.format(top="/").replace("cgroup rw", "unified rw"))
    root = make_root(tmp_path, cgroup, *mounts)
    make_v1(root / "sys/fs/cgroup/memory/job", str(900 * MB), 300 * MB)
    assert group_headrooms(root) == [600 * MB]


def test_a_full_group_leaves_nothing(tmp_path: Path) -> None:
    root = make_root(tmp_path, "0::/run\n", V2_MOUNT.format(top="/"))
    make_v2(root / "sys/fs/cgroup/run", str(100 * MB), 150 * MB)
    assert group_headrooms(root) == [0]


def test_where_there_are_no_control_groups_nothing_bounds(tmp_path: Path) -> None:
    assert group_headrooms(tmp_path) == []


def test_every_group_limits_the_cores_v2(tmp_path: Path) -> None:
    root = make_root(tmp_path, "0::/job/step\n", V2_MOUNT.format(top="/"))
    top = root / "sys/fs/cgroup"
    for folder, text in (("", ""), ("job", "250000 100000\n"), ("job/step", "max 100000\n")):
        (top / folder).mkdir(parents=True, exist_ok=True)
        (top / folder / "cpu.max").write_text(text)
    assert group_cores(root) == [3]


def test_every_group_limits_the_cores_v1(tmp_path: Path) -> None:
    root = make_root(tmp_path, "3:cpuacct,cpu:/job\n4:memory:/other\n")
    top = root / "sys/fs/cgroup/cpu"
    for folder, quota in ((top, "-1"), (top / "job", "150000")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert group_cores(root) == [2]


@pytest.fixture
def nested_group() -> Iterator[Path]:
    """A real group without a limit, inside of one of 600 MB."""
    top = Path("/sys/fs/cgroup/memory")
    if not (top / "memory.limit_in_bytes").exists():
        pytest.skip("this machine has no memory control groups of version 1")
    outer = top / f"cellucid-dask-test-{os.getpid()}"
    inner = outer / "step"
    try:
        outer.mkdir()
        inner.mkdir()
        (outer / "memory.limit_in_bytes").write_text(str(600 * MB))
    except OSError as error:
        for folder in (inner, outer):
            if folder.exists():
                folder.rmdir()
        pytest.skip(f"control groups cannot be made here ({error.strerror})")
    yield inner
    inner.rmdir()
    outer.rmdir()


def test_a_real_group_around_the_own_one_bounds_the_default(nested_group: Path) -> None:
    join = f'echo $$ > {nested_group}/cgroup.procs && exec "$0" -c "$1"'
    code = "from cellucid_dask.compute.machine import available_memory; print(available_memory())"
    command = ["sh", "-c", join, sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 300 * MB < int(done.stdout) < 600 * MB
