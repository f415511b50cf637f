"""Certificates are renewed every few weeks while we run: what is made of their files is made again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from proxy.transport.flow import TransportFailed

log = structlog.get_logger("screendoor")

T = TypeVar("T")


class Renewed(Generic[T]):
    """A context for TLS. Connections that stand keep the one they were made with."""

    def __init__(self, make: Callable[[], T], *files: Path | str | None) -> None:
        """`make` reads these files; what it raises for those that cannot be used is raised here."""
        self._make = make
        self._files = [file for file in files if file is not None]
        self._stamp = self._stamps()
        self._made = make()

    def current(self) -> T:
        """The one for a new connection."""
        stamp = self._stamps()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._made = self._make()
                log.info("certificate reloaded", certificate=str(self._files[0]))
            except (OSError, TransportFailed) as error:  # half written: look again when it changes
                log.warning("certificate not reloaded, the old one stays", why=str(error))
        return self._made

    def _stamps(self) -> tuple[int, ...]:
        stamps = []
        for path in self._files:
            try:
                stamps.append(os.stat(path).st_mtime_ns)
            except OSError:
                stamps.append(0)
        return tuple(stamps)
