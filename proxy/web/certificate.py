"""The certificate of HTTPS, which is renewed every few weeks while we run."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger("screendoor")


class RenewedContext(ssl.SSLContext):
    """A server's context that looks for renewed files at each connection, and has it made by what they say.

    Connections that stand keep the certificate they were made with.
    """

    _files: tuple[Path, Path]
    _stamp: tuple[int, ...]
    _made: ssl.SSLContext

    @classmethod
    def of(cls, certificate: Path, key: Path) -> RenewedContext:
        """One of these PEM files; raises OSError (ssl.SSLError is one) where they are not to be used."""
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        context._files = (certificate, key)
        context._stamp = _stamps(context._files)
        context._made = _made(*context._files)
        return context

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """A new connection, of whichever event loop."""
        return self._current().wrap_bio(*args, **options)

    def _current(self) -> ssl.SSLContext:
        stamp = _stamps(self._files)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._made = _made(*self._files)
                log.info("certificate reloaded", certificate=str(self._files[0]))
            except OSError as error:  # half written: keep the old one, look again when it changes
                log.warning("certificate not reloaded, the old one stays", why=str(error))
        return self._made


def _made(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _stamps(files: tuple[Path, ...]) -> tuple[int, ...]:
    stamps = []
    for file in files:
        try:
            stamps.append(os.stat(file).st_mtime_ns)
        except OSError:
            stamps.append(0)
    return tuple(stamps)
