"""Ports of 127.0.0.1 for servers that cannot choose a free one themselves."""

from __future__ import annotations

import random
import socket

SIZE = 100
# Below 32768, where Linux takes the local ports of outgoing connections from.
FIRST, LAST = 20000, 32000


class PortBlock:
    """A run of free ports that no other process using this class takes.

    The last port of the block is held by a listening socket of our own for as long as the block
    is in use: the kernel gives it to one process only, and frees it when that process dies.

    Attributes
    ----------
    first : int
        The first port of the block; `first` to ``first + 98`` are for the server.
    """

    def __init__(self) -> None:
        blocks = list(range(FIRST, LAST, SIZE))
        random.SystemRandom().shuffle(blocks)
        for first in blocks:
            try:
                held = socket.create_server(("127.0.0.1", first + SIZE - 1))
            except OSError:
                continue
            if all(is_free(port) for port in range(first, first + SIZE - 1)):
                self.first, self._held = first, held
                return
            held.close()
        raise RuntimeError(f"no {SIZE} free ports in a row between {FIRST} and {LAST}")

    def release(self) -> None:
        """Let other processes have the block."""
        self._held.close()


def is_free(port: int) -> bool:
    """Return whether a server could listen on a port of 127.0.0.1."""
    with socket.socket() as probe:
        # Servers set it too: connections that ended a moment ago are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
