"""A client that says exactly what it is told to say."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    """An HTTP answer; all of it, until the server hung up."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


def say(address: str, request: bytes, timeout: float = 5.0) -> bytes:
    """Send these bytes; what comes back until the other end hangs up."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout) as connection:
        connection.sendall(request)
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)


def ask(address: str, path: str = "/health", *, method: str = "GET", headers: str = "", timeout: float = 5.0) -> Said:
    """:raises ConnectionError: also if it hangs up without a word, as it does with one client too many."""
    said = say(address, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode(), timeout)
    if not said:
        raise ConnectionResetError(f"{address} hung up without a word")
    head, _, body = said.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return Said(int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body)
