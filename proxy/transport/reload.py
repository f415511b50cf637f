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
        self._last_versions = self._versions()
        self._failed = False
        """Whether the last attempt failed: a renewal in several steps is warned of once."""
        self._made = make()

    def current(self) -> T:
        """The context for a new connection."""
        versions = self._versions()
        if versions != self._last_versions:
            self._last_versions = versions
            try:
                self._made = self._make()
                self._failed = False
                log.info("certificate reloaded", certificate=str(self._files[0]))
            except (OSError, TransportFailed) as error:  # half written: retried at the next change
                say = log.debug if self._failed else log.warning
                say("certificate not reloaded, the old one stays", why=str(error))
                self._failed = True
        return self._made

    def _versions(self) -> list[tuple[int, int, int]]:
        """What tells each file's versions apart.

        The time alone does not: within a few milliseconds the system gives the same one twice.
        """
        versions = []
        for path in self._files:
            try:
                found = os.stat(path)
            except OSError:
                versions.append((0, 0, 0))
            else:
                versions.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return versions
