"""Submit tasks to a dask cluster as futures of the standard library."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

R = TypeVar("R")
RETRIES = 2  # of a task that raised; the scheduler itself repeats tasks of lost workers


def submit(
    client: Any, work: Callable[..., R], tasks: Iterable[tuple[Any, ...]]
) -> list[Future[R]]:
    """Start ``work(*task)`` for every task on the workers of `client`.

    Each result is fetched when its task is done, and the cluster then releases it. The executor
    of dask keeps all results on the workers until the last one: a lost worker would lose its
    results, and they would be computed again.
    """
    import dask  # a tenth of a second, which threads need not spend

    task_list = list(tasks)
    if not task_list:
        return []
    # Tasks contain only paths; dask warns of a large graph because there are many of them.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GiB"}):
        remote = client.map(work, *zip(*task_list, strict=True), pure=False, retries=RETRIES)
    return [_to_local_future(client, future) for future in remote]


def _to_local_future(client: Any, remote: Any) -> Future[Any]:
    local: Future[Any] = Future()

    async def fetch() -> None:
        try:
            result = await client.gather(remote, asynchronous=True)
        except BaseException as error:  # noqa: BLE001  it is raised where the result is task_list for
            if local.set_running_or_notify_cancel():
                local.set_exception(error)
        else:
            if local.set_running_or_notify_cancel():
                local.set_result(result)
        finally:
            remote.release()

    def cancel(future: Future[Any]) -> None:
        if future.cancelled():
            remote.cancel()

    local.add_done_callback(cancel)
    client.loop.add_callback(fetch)
    return local
