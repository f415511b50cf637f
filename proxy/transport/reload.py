"""Reloads TLS contexts when their files change: certificates are renewed while we run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from proxy.transport.flow import TransportFailed

log = structlog.get_logger("screendoor")

T = TypeVar("T")


class Reloading(Generic[T]):
    """A TLS context that is rebuilt when its files change. Open connections keep their old one."""

    def __init__(self, make: Callable[[], T], *files: Path | str | None) -> None:
        """`make` builds the context from these files; its errors are raised here."""
        self._make = make
        self._files = [file for file in files if file is not None]
        self._last_mtimes = self._mtimes()
        self._made = make()

    def current(self) -> T:
        """The context for a new connection."""
        mtimes = self._mtimes()
        if mtimes != self._last_mtimes:
            self._last_mtimes = mtimes
            try:
                self._made = self._make()
                log.info("certificate reloaded", certificate=str(self._files[0]))
            except (OSError, TransportFailed) as error:  # half written: retried at the next change
                log.warning("certificate not reloaded, the old one stays", why=str(error))
        return self._made

    def _mtimes(self) -> tuple[int, ...]:
        mtimes = []
        for path in self._files:
            try:
                mtimes.append(os.stat(path).st_mtime_ns)
            except OSError:
                mtimes.append(0)
        return tuple(mtimes)
