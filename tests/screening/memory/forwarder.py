"""A way to a PostgreSQL server by TCP, as over a network or through a pooler, that may fall silent."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class Forwarder:
    """Passes what comes to a server's socket in `folder`, and its answers back, unless it is `held`."""

    def __init__(self, folder: Path, hold_at: bytes = b"") -> None:
        """Hold from the first that has `hold_at` in it."""
        self._server, self._hold_at = folder / ".s.PGSQL.5432", hold_at
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._ends: list[socket.socket] = [self._listener]

    def url(self, name: str) -> str:
        """Of a database of that name."""
        return f"postgresql://screendoor@127.0.0.1:{self.port}/{name}"

    def hold(self) -> None:
        """Pass nothing more for now; the connections stand."""
        self._open.clear()

    def release(self) -> None:
        """Pass what was held, and all that comes."""
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
