"""Send the chunks of ready files with as little work as Python can do: for `serve ready`.

    python -m benchmarks.serve.sendfile_server DATA PORT

One thread reads the path and the range of each request, opens the file and calls ``sendfile``.
There is no check and no limit. It shows what the kernel and the clients of the benchmark cost.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

URL: Final = "_cellucid/anndata/data"
DATASETS: Final = {"datasets": [{"anndata": {"file": {"url": URL}}}]}
REQUEST: Final = re.compile(rb"GET /(\S+) [^\r]*\r\n(?:.*\r\nRange: bytes=(\d+)-(\d+))?", re.DOTALL)


@dataclass(slots=True)
class Sending:
    """A file that is being sent, and where the rest of the body begins and ends."""

    file: int
    start: int
    stop: int


class SendfileServer:
    """Serves one ready file, or the keys of one zarr folder, to any number of connections."""

    def __init__(self, data: Path, port: int) -> None:
        self._data, self._is_folder = data, data.is_dir()
        self._listening = socket.create_server(("127.0.0.1", port))
        self._poll = select.epoll()
        self._poll.register(self._listening, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._sending: dict[int, Sending] = {}

    def run(self) -> None:
        """Serve until a signal comes."""
        while True:
            for number, _ in self._poll.poll():
                if number == self._listening.fileno():
                    self._accept()
                elif number in self._sending or self._start_response(number):
                    self._continue(number)

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[connection.fileno()] = connection
        self._poll.register(connection, select.EPOLLIN)

    def _start_response(self, number: int) -> bool:
        """Read a request and send the head of its response; whether a file is to be sent."""
        connection = self._connections[number]
        try:
            request = REQUEST.match(connection.recv(16_384))
        except ConnectionError:
            request = None
        if request is None:  # the client closed the connection
            self._connections.pop(number).close()
            return False
        path = request[1].decode()
        if not path.startswith(URL):
            body = json.dumps(DATASETS).encode()
            connection.send(_head("200 OK", len(body)) + body)
            return False
        file = os.open(self._data / path[len(URL) :].lstrip("/"), os.O_RDONLY)
        start, stop = 0, os.fstat(file).st_size
        if request[2]:
            start, stop = int(request[2]), int(request[3]) + 1
        status = "206 Partial Content" if request[2] else "200 OK"
        connection.send(_head(status, stop - start), socket.MSG_MORE)
        self._sending[number] = Sending(file, start, stop)
        return True

    def _continue(self, number: int) -> None:
        sending = self._sending[number]
        try:
            while sending.start < sending.stop:
                sending.start += os.sendfile(
                    number, sending.file, sending.start, sending.stop - sending.start
                )
        except BlockingIOError:
            self._poll.modify(number, select.EPOLLOUT)
            return
        except ConnectionError:
            self._connections.pop(number).close()
        else:
            self._poll.modify(number, select.EPOLLIN)
        os.close(self._sending.pop(number).file)


def _head(status: str, n_bytes: int) -> bytes:
    lines = f"HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\n"
    return f"{lines}Content-Length: {n_bytes}\r\n\r\n".encode()


if __name__ == "__main__":
    SendfileServer(Path(sys.argv[1]), int(sys.argv[2])).run()
