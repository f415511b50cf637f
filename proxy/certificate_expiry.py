"""When the certificates that we show end: what renews them fails in silence, and nobody is screened any more.

Their files are read as they are now, as those who connect are shown them: a renewal needs no restart.
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

LOOK_S = 86400.0
SOON = timedelta(days=14)
"""With so much left it should have been renewed; with a quarter of its time, where that is less."""
_HOW = "renewed files are taken without a restart"
_STAYS = "the one that was loaded before is shown until it is over, and there is none after a restart"


class Remark(NamedTuple):
    """What is to be said of one certificate."""

    text: str
    over: bool
    """Peers refuse it already."""


async def watch(settings: Settings, wall_clock: Callable[[], datetime]) -> None:
    """Say what is to be said now, and every day again; never returns."""
    while True:
        for remark in remarks(settings, wall_clock()):
            say = log.error if remark.over else log.warning
            say(remark.text)
        await asyncio.sleep(LOOK_S)


def remarks(settings: Settings, now: datetime) -> Iterator[Remark]:
    """Yield one for each certificate that is over, ends soon, or has files that could not be loaded again."""
    for one in _shown(settings):
        which = f"{one.file}: the certificate" + (f" for {', '.join(one.peers)}" if one.peers else "")
        try:
            shown = certificate.certificate(one.file)
            whole = certificate.belong(one.file, one.key)
        except PydanticCustomError:
            whole = None
        if not whole:
            yield Remark(f"{which} and its key do not load, or not together: {_STAYS}", over=False)
            continue
        on = f"{shown.not_valid_after_utc:%Y-%m-%d}"
        if certificate.expired(shown, now):
            yield Remark(f"{which} expired on {on}: renew it ({_HOW})", over=True)
        elif certificate.expired(shown, now + _soon(shown)):
            yield Remark(f"{which} ends on {on}: see why it was not renewed ({_HOW})", over=False)


def ends(settings: Settings) -> Iterator[tuple[str, float]]:
    """Yield each certificate's file, and the time when it ends; cheap, and none for what cannot be read."""
    for one in _shown(settings):
        try:
            end = _end(one.file, one.file.stat().st_mtime_ns)
        except (OSError, PydanticCustomError):
            continue
        yield str(one.file), end


@lru_cache(maxsize=256)
def _end(file: Path, stamp: int) -> float:
    """`stamp` has it read again when it has changed."""
    return certificate.certificate(file).not_valid_after_utc.timestamp()


def _soon(shown: x509.Certificate) -> timedelta:
    return min(SOON, (shown.not_valid_after_utc - shown.not_valid_before_utc) / 4)


class _Shown(NamedTuple):
    """A certificate, and to whom it is shown."""

    file: Path
    key: Path
    peers: list[str] | None
    """Trunks and agents; None where everybody is shown it."""


def _shown(settings: Settings) -> Iterable[_Shown]:
    """Each file once."""
    http = settings.http
    used = [("", one.certificate, one.key) for one in settings.listeners if one.transport == "tls"]
    used.append(("", http.certificate, http.key))
    used += [(one.name, one.tls.certificate, one.tls.key) for one in settings.trunks if one.tls]
    used += [(one.name, one.tls.certificate, one.tls.key) for one in settings.agents if one.tls]
    found: dict[Path, _Shown] = {}
    for peer, file, key in used:
        if file is not None and key is not None:
            peers = found.setdefault(file, _Shown(file, key, [] if peer else None)).peers
            if peers is not None:
                peers.append(peer)
    return found.values()
