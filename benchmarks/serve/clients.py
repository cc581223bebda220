"""Keep-alive clients that cost little, so that the server bounds the requests per second."""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from zlib_ng.zlib_ng import crc32

CHECK_EVERY: Final = 8  # of so many responses one is received whole and compared by its checksum
HEAD_BYTES: Final = 16_384  # the largest head of a response
TIMEOUT: Final = 30.0  # seconds without any response after which the run fails


@dataclass(frozen=True, slots=True)
class Expected:
    """A request, and what its response must be.

    Parameters
    ----------
    request
        Bytes to send.
    status
        First bytes of the response, such as ``HTTP/1.1 206``.
    n_bytes
        Length of the body.
    checksum
        CRC-32 of the body.
    """

    request: bytes
    status: bytes
    n_bytes: int
    checksum: int


@dataclass(slots=True)
class Tally:
    """What the clients received.

    Parameters
    ----------
    seconds
        Length of the run.
    n_bytes
        Bytes of all bodies.
    checked
        Bodies whose bytes were compared; of all others the status and the length were.
    errors
        Responses with another status, length or body, and connections that ended.
    latencies
        Seconds from each request to the last byte of its response.
    """

    seconds: float = 0.0
    n_bytes: int = 0
    checked: int = 0
    errors: int = 0
    latencies: list[float] = field(default_factory=list)


class Client:
    """One connection that sends a request after each response.

    Most bodies are dropped inside the kernel (MSG_TRUNC): to copy them would take as much time as
    the server needs to send them.
    """

    def __init__(self, port: int, expected: Sequence[Expected], seed: int, tally: Tally) -> None:
        self._port, self._expected, self._tally = port, expected, tally
        self._random = random.Random(seed)
        self._body = memoryview(bytearray(max(each.n_bytes for each in expected) + HEAD_BYTES))
        self._n_sent = seed  # clients check other responses than their neighbours
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), TIMEOUT)

    def reconnect(self) -> None:
        """Open a new connection in place of one that failed."""
        self.socket.close()
        self.socket = self._connect()

    def send(self) -> None:
        """Send the next request, at random."""
        self._current = self._random.choice(self._expected)
        self._n_sent += 1
        self._is_checked = self._n_sent % CHECK_EVERY == 0
        self._received, self._end = 0, 0
        self._started = time.perf_counter()
        self.socket.sendall(self._current.request)

    def receive(self) -> bool:
        """Receive what is there; whether the response is complete.

        Raises
        ------
        OSError
            When the response is not the expected one, or the connection ended.
        """
        received, end = self._received, self._end
        if not end:
            n_bytes = self.socket.recv_into(self._body[received : received + HEAD_BYTES])
        elif self._is_checked:
            n_bytes = self.socket.recv_into(self._body[received:end])
        else:
            n_bytes = self.socket.recv_into(self._body, end - received, socket.MSG_TRUNC)
        if n_bytes == 0:
            raise OSError("the server closed the connection")
        self._received = received = received + n_bytes
        if not end:
            self._end = end = self._read_head(received)
        if received < end or not end:
            return False
        self._finish()
        return True

    def _read_head(self, received: int) -> int:
        """Check the head of the response; bytes of head and body, 0 when the head is not whole."""
        head, separator, _ = bytes(self._body[: min(received, HEAD_BYTES)]).partition(b"\r\n\r\n")
        if not separator:
            if received >= HEAD_BYTES:
                raise OSError("the head of the response is too long")
            return 0
        current = self._current
        length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if not head.startswith(current.status) or int(length or -1) != current.n_bytes:
            raise OSError(f"unexpected response: {head!r}")
        return len(head) + len(separator) + current.n_bytes

    def _finish(self) -> None:
        tally, current = self._tally, self._current
        tally.latencies.append(time.perf_counter() - self._started)
        tally.n_bytes += current.n_bytes
        if self._is_checked:
            tally.checked += 1
            if crc32(self._body[self._end - current.n_bytes : self._end]) != current.checksum:
                raise OSError(f"the bytes differ: {current.request!r}")


def run_clients(
    port: int, expected: Sequence[Expected], seconds: float, n_clients: int, seed: int = 0
) -> Tally:
    """Send random requests over `n_clients` connections at a time, at least for one response."""
    tally = Tally()
    poll = select.epoll()
    clients: dict[int, Client] = {}

    def start(client: Client) -> None:
        clients[client.socket.fileno()] = client
        poll.register(client.socket, select.EPOLLIN)
        client.send()

    started = time.perf_counter()
    try:
        for number in range(n_clients):
            start(Client(port, expected, seed + number, tally))
        while time.perf_counter() - started < seconds or not (tally.latencies or tally.errors):
            events = poll.poll(TIMEOUT)
            if not events:
                raise TimeoutError(f"no response for {TIMEOUT:.0f} s")
            for number, _ in events:
                client = clients[number]
                try:
                    if client.receive():
                        client.send()
                except OSError:
                    tally.errors += 1
                    del clients[number]
                    client.reconnect()
                    start(client)
    finally:
        for client in clients.values():
            client.socket.close()
        poll.close()
    tally.seconds = time.perf_counter() - started
    return tally
