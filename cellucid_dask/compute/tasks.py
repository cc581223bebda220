"""Tasks of a dask cluster as futures of the standard library."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

import dask

R = TypeVar("R")
RETRIES = 2  # of a task that raised; those whose worker was lost are run again by the scheduler


def submit(
    client: Any, work: Callable[..., R], tasks: Iterable[tuple[Any, ...]]
) -> list[Future[R]]:
    """Start ``work(*task)`` for every task on the workers of `client`.

    A result is fetched as soon as it is there and then forgotten by the cluster. Kept there, as
    the executor of dask does until all of them are done, the results of a worker that is lost
    would all be computed again.
    """
    asked = list(tasks)
    if not asked:
        return []
    # Tasks carry paths; it is their number that makes dask warn of a large graph.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GiB"}):
        remote = client.map(work, *zip(*asked, strict=True), pure=False, retries=RETRIES)
    return [_local(client, future) for future in remote]


def _local(client: Any, remote: Any) -> Future[Any]:
    local: Future[Any] = Future()

    async def bring() -> None:
        try:
            result = await client.gather(remote, asynchronous=True)
        except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
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
    client.loop.add_callback(bring)
    return local
