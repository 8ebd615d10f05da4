"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import os
import socket

_handed_out: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on now; this process hands out each port once.

    Ports come from below the kernel's range for outgoing connections, so that no client takes one before its server
    is up; those whose neighbour at +10000 is taken are left out (Redis Cluster's bus lives there).
    """
    for port in range(21000 + _start(), 31000):
        if port not in _handed_out and is_free(port) and is_free(port + 10000):
            _handed_out.add(port)
            return port
    raise RuntimeError("no free port between 21000 and 31000")


def _start() -> int:
    # Test runs on one machine begin at different places.
    return (os.getpid() * 37) % 9000


def is_free(port: int) -> bool:
    """Whether nobody listens on it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
