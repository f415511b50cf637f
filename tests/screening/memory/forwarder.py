"""A TCP forwarder in front of a PostgreSQL server, which can go silent like a network or a pooler."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class Forwarder:
    """Forwards between TCP and the server's socket in `folder`, unless it is held."""

    def __init__(self, folder: Path, hold_at: bytes = b"") -> None:
        """Hold from the first chunk that contains `hold_at`."""
        self._server, self._hold_at = folder / ".s.PGSQL.5432", hold_at
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._ends: list[socket.socket] = [self._listener]

    def url(self, name: str) -> str:
        """The URL of a database, through this forwarder."""
        return f"postgresql://screendoor@127.0.0.1:{self.port}/{name}"

    def hold(self) -> None:
        """Stop forwarding; connections stay open."""
        self._open.clear()

    def release(self) -> None:
        """Forward what was held, and everything that follows."""
        self._hold_at = b""
        self._open.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            self._ends += [client, server]
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while got := source.recv(65536):
                if self._hold_at and self._hold_at in got:
                    self.hold()
                self._open.wait()
                sink.sendall(got)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return
