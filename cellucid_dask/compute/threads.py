"""Threads of this process: the default on one machine where the native library is in use."""

from __future__ import annotations

from typing import ClassVar

from cellucid_dask.compute.cluster import Cluster, StartContext


class Threads(Cluster):
    """Tasks run in threads of this process; no worker process is started."""

    uses_dask: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{self.slots} thread{'s' * (self.slots > 1)} in this process"

    def start(self, context: StartContext) -> None:
        """Start nothing: the engine has threads of its own."""

    def count_processes(self) -> int:
        """Count no process besides this one."""
        return 0

    def drop_worker(self, *, fixed: bool) -> Threads | None:  # noqa: ARG002
        """Return one thread less; a number of workers that the user chose does not count them."""
        return Threads(self.slots - 1) if self.slots > 1 else None
