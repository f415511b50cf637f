"""The certificate of HTTPS, which is renewed every few weeks while we run."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import structlog

log = structlog.get_logger("screendoor")


class Renewed:
    """What a server shows: by what its files say now. Connections that stand keep what they were shown."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """PEM files; raises OSError (ssl.SSLError is one) where they are not to be used."""
        self._files = (certificate, key)
        self._stamp = _stamps(self._files)
        self._context = _made(*self._files)

    def context(self) -> ssl.SSLContext:
        """The context for one new connection."""
        stamp = _stamps(self._files)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._context = _made(*self._files)
                log.info("certificate reloaded", certificate=str(self._files[0]))
            except OSError as error:  # half written: keep the old one, look again when it changes
                log.warning("certificate not reloaded, the old one stays", why=str(error))
        return self._context


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
