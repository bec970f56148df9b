"""Connections of processes to the first, by which it learns that one has ended, however it did.

The system cuts a process's connections when it ends, even where it was killed.
"""

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple

_SECONDS = 2.0  # for a connection to be made


class Place(NamedTuple):
    """Where the first process listens, and the word by which it knows the others."""

    port: int
    word: str


def listen(cut: Callable[[int], None]) -> Place:
    """Returns where others can `connect` to; threads call `cut` with each whose line is cut."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    server = socket.create_server(("", 0), family=family, dualstack_ipv6=both)
    word = secrets.token_hex(16)

    def accept() -> None:
        while True:
            line, _ = server.accept()
            threading.Thread(target=_hold, args=(line, word, cut), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return Place(server.getsockname()[1], word)


def connect(host: str, place: Place, process: int) -> socket.socket:
    """Returns the line of a process, cut when it is closed; raises OSError without a way there."""
    line = socket.create_connection((host, place.port), timeout=_SECONDS)
    line.settimeout(None)
    line.sendall(f"{place.word} {process}\n".encode())
    return line


def _hold(line: socket.socket, word: str, cut: Callable[[int], None]) -> None:
    with line, line.makefile("rb") as said:
        name, _, process = said.readline(100).decode(errors="replace").strip().partition(" ")
        if name == word and process.isdecimal():
            with contextlib.suppress(OSError):
                said.read()  # to its end: nothing else is ever said
            cut(int(process))
