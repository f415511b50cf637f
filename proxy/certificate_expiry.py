"""Warns before the certificates that we present expire: automatic renewal fails silently.

After that, peers refuse our TLS and no call is screened. The files are read afresh, as they are for new
connections: a renewed certificate needs no restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import structlog
from cryptography import x509
from pydantic_core import PydanticCustomError

from proxy.config import Settings, certificate

log = structlog.get_logger("screendoor")

CHECK_INTERVAL_S = 86400.0
RENEWAL_MARGIN = timedelta(days=14)
"""A certificate should have been renewed with this much time left, or with a quarter of its lifetime left if
that is less."""
_HOW = "renewed files are taken without a restart"
_STAYS = "the one that was loaded before is shown until it is over, and there is none after a restart"


class Remark(NamedTuple):
    """One log message about one certificate."""

    text: str
    over: bool
    """Whether it has expired, so that peers refuse it already."""


async def watch(settings: Settings, wall_clock: Callable[[], datetime]) -> None:
    """Log all remarks now and once a day; never returns."""
    while True:
        for remark in remarks(settings, wall_clock()):
            say = log.error if remark.over else log.warning
            say(remark.text)
        await asyncio.sleep(CHECK_INTERVAL_S)


def remarks(settings: Settings, now: datetime) -> Iterator[Remark]:
    """Yield a remark for each certificate that has expired, expires soon, or cannot be reloaded."""
    for one in _certificate_files(settings):
        which = f"{one.file}: the certificate" + (f" for {', '.join(one.peers)}" if one.peers else "")
        try:
            shown = certificate.certificate(one.file)
            whole = certificate.key_matches(one.file, one.key)
        except PydanticCustomError:
            whole = None
        if not whole:
            yield Remark(f"{which} and its key do not load, or not together: {_STAYS}", over=False)
            continue
        on = f"{shown.not_valid_after_utc:%Y-%m-%d}"
        if certificate.expired(shown, now):
            yield Remark(f"{which} expired on {on}: renew it ({_HOW})", over=True)
        elif certificate.expired(shown, now + _renewal_margin(shown)):
            yield Remark(f"{which} ends on {on}: see why it was not renewed ({_HOW})", over=False)


def expiry_times(settings: Settings) -> Iterator[tuple[str, float]]:
    """Yield each certificate's file and its expiry time in seconds since 1970; unreadable files are left out.

    Cheap: a file is parsed again only after it has changed.
    """
    for one in _certificate_files(settings):
        try:
            end = _expiry_time(one.file, one.file.stat().st_mtime_ns)
        except (OSError, PydanticCustomError):
            continue
        yield str(one.file), end


@lru_cache(maxsize=256)
def _expiry_time(file: Path, stamp: int) -> float:
    """Cached by file and modification time (`stamp`)."""
    return certificate.certificate(file).not_valid_after_utc.timestamp()


def _renewal_margin(shown: x509.Certificate) -> timedelta:
    return min(RENEWAL_MARGIN, (shown.not_valid_after_utc - shown.not_valid_before_utc) / 4)


class _CertificateFile(NamedTuple):
    """A certificate file, and the peers that it is presented to."""

    file: Path
    key: Path
    peers: list[str] | None
    """Names of trunks and agents; None if it is presented to every peer."""


def _certificate_files(settings: Settings) -> Iterable[_CertificateFile]:
    """Collect the certificates in the settings, each file once."""
    http = settings.http
    used = [("", one.certificate, one.key) for one in settings.listeners if one.transport == "tls"]
    used.append(("", http.certificate, http.key))
    used += [(one.name, one.tls.certificate, one.tls.key) for one in settings.trunks if one.tls]
    used += [(one.name, one.tls.certificate, one.tls.key) for one in settings.agents if one.tls]
    found: dict[Path, _CertificateFile] = {}
    for peer, file, key in used:
        if file is not None and key is not None:
            peers = found.setdefault(file, _CertificateFile(file, key, [] if peer else None)).peers
            if peers is not None:
                peers.append(peer)
    return found.values()
