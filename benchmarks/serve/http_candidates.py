"""Serve data with another HTTP server, through its public API: for `http_servers`.

    python -m benchmarks.serve.http_candidates NAME DATA PORT

The limits are those of `cellucid_dask.server.http.listener`, as far as a server has them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_to_bytes

from cellucid_dask import create_app
from cellucid_dask.server.http.listener import BACKLOG, CONNECTIONS, HEADERS, IDLE_MS, THREADS

Wsgi = Callable[..., Any]
HOST = "127.0.0.1"


def serve_with_waitress(app: Wsgi, port: int) -> None:
    """Serve until a signal comes: one thread for all sockets, a pool for the application."""
    import waitress

    waitress.serve(
        app,
        host=HOST,
        port=port,
        threads=THREADS,
        backlog=BACKLOG,
        connection_limit=CONNECTIONS,
        channel_timeout=IDLE_MS // 1000,
        max_request_header_size=HEADERS,
        asyncore_use_poll=True,
        _quiet=True,
    )


def serve_with_cheroot(app: Wsgi, port: int) -> None:
    """Serve until a signal comes: a thread for each connection that sends or receives."""
    from cheroot.wsgi import Server

    server = Server((HOST, port), app, THREADS, request_queue_size=BACKLOG, timeout=IDLE_MS // 1000)
    server.max_request_header_size = HEADERS
    server.keep_alive_conn_limit = CONNECTIONS
    server.safe_start()


def serve_with_embedded_granian(app: Wsgi, port: int) -> None:
    """Serve until a signal comes: granian in an event loop, a pool for the application.

    The embedded server of granian runs ASGI and RSGI, not WSGI. RSGI does not wait for a client
    that reads slowly, so a long answer would be in memory.
    """
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.server.embed import Server

    server = Server(
        as_asgi(app),
        HOST,
        port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=IDLE_MS, max_buffer_size=HEADERS),
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        websockets=False,
        log_enabled=False,
    )
    asyncio.run(server.serve())


def as_asgi(app: Wsgi) -> Callable[..., Awaitable[None]]:
    """Run a WSGI application, which blocks, in threads beside the event loop."""
    pool = ThreadPoolExecutor(THREADS)

    def call(environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], Any]:
        started: list[tuple[int, list[tuple[str, str]]]] = []
        body = app(environ, lambda line, headers: started.append((int(line[:3]), headers)))
        return *started[0], body

    async def answer(scope: dict[str, Any], _: Any, send: Any) -> None:
        loop = asyncio.get_running_loop()
        status, headers, body = await loop.run_in_executor(pool, call, _environ(scope))
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        if isinstance(body, list):
            await send({"type": "http.response.body", "body": b"".join(body)})
            return
        pieces = iter(body)
        while (piece := await loop.run_in_executor(pool, next, pieces, None)) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return answer


def _environ(scope: dict[str, Any]) -> dict[str, Any]:
    environ = {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "REMOTE_ADDR": scope["client"][0],
    }
    for name, value in scope["headers"]:
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        environ[key] = value.decode("latin-1")
    return environ


SERVERS = {
    "waitress": serve_with_waitress,
    "cheroot": serve_with_cheroot,
    "granian-embed": serve_with_embedded_granian,
}

if __name__ == "__main__":
    name, data, port = sys.argv[1:]
    SERVERS[name](create_app(data), int(port))
