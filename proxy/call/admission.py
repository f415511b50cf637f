"""Admission: trunks are let in by address or certificate; strangers get no answer, and may be banned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from proxy.call.bans import Bans
from proxy.call.certificate_trunks import CertificateTrunks, by_address
from proxy.call.sources import Lookup, Source, Sources
from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.sip.peek import may_be_follow_up
from proxy.transport.flow import Flow
from proxy.transport.log_limit import LINES_PER_MINUTE, LogLimit

log = structlog.get_logger("screendoor")

FAILURE_WEIGHT = 2
"""How many messages one failed authentication counts as."""
TOP = 10
"""How many of the busiest strangers /healthz lists."""
SCANNERS = (
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sipcli",
    "sip-scan",
    "sundayddr",
    "vaxsipuseragent",
    "vaxasip",
    "pplsip",
    "smap",
    "iwar",
    "siparmyknife",
)
"""Substrings of the User-Agent of well-known SIP scanners, in lower case."""


@dataclass(frozen=True, slots=True)
class BanPolicy:
    """When strangers are banned."""

    ban_after: int = 20
    """How many unwanted messages within one to two minutes get a source banned."""
    ban_s: float = 600.0
    """How long a ban lasts; 0 bans nobody."""
    scanners: tuple[str, ...] = SCANNERS
    """Substrings of the User-Agent of scanners, in lower case."""


class Admission:
    """The gate of the user agent core (see `Gate`): decides whose messages are read, and bans the rest."""

    def __init__(
        self,
        sources: Mapping[str, Sequence[str]],
        lookup: Lookup,
        ban_policy: BanPolicy | None = None,
        *,
        turned_away: Callable[[], None] = lambda: None,
        unreadable: Callable[[], None] = lambda: None,
    ) -> None:
        """`sources`: the addresses, CIDR networks and names of each trunk; the callables feed metrics."""
        self._ban_policy = ban_policy or BanPolicy()
        self._turned_away, self._unreadable = turned_away, unreadable
        self._sources = Sources(by_address(sources), lookup)
        self._certificate_trunks = CertificateTrunks(sources)
        self._bans = Bans(self._ban_policy.ban_after, self._ban_policy.ban_s, _now)
        self.proved = self._bans.spare
        """See `Gate`; bound directly, as it is called for every request that we send."""
        self._scanners = [name.encode() for name in self._ban_policy.scanners]
        self._lines = LogLimit()
        self.usernames: tuple[bytes, ...] = ()
        """User names that may authenticate by password: a stranger's new request is read if it has one."""
        self.counts = {"unknown": 0, "banned": 0, "scanner": 0, "unauthenticated": 0}
        """Messages dropped without an answer, by reason."""
        self.refresh, self.keep_fresh = self._sources.refresh, self._sources.keep_fresh

    def source(self, flow: Flow) -> Source | None:
        """The trunk at the other end of a flow; None for a stranger."""
        if self._certificate_trunks.names and (certified := self._certificate_trunks.trunk(flow)):
            return Source(certified, wide=False)
        host = flow.remote[0]
        return self._sources.known.get(host) or self._sources.at(host)

    def admits(self, flow: Flow) -> bool:
        host = flow.remote[0]  # called several times for every message: the known peer comes first
        return (
            host in self._sources.known
            or self._sources.at(host) is not None
            or self._certificate_trunks.trunk(flow) is not None
        )

    def bars(self, flow: Flow) -> bool:
        if not self._bans.bars(flow) or self.admits(flow):
            return False
        self.counts["banned"] += 1
        return True

    def ignores(self, flow: Flow, data: bytes) -> bool:
        if self.bars(flow):
            return True
        if any(name in data for name in self.usernames) or may_be_follow_up(data):
            return False
        text = data.lower()
        if any(name in text for name in self._scanners):
            self._count_scanner(flow)
        else:
            self._count_stranger(flow, calls=data.startswith(b"INVITE "))
        return True

    def scans(self, flow: Flow, request: Request) -> bool:
        source = self.source(flow)
        if source is not None and not source.wide:
            return False
        agent = request.headers.get("User-Agent")
        if agent is None or not any(name in agent.lower() for name in self._ban_policy.scanners):
            return False
        self._count_scanner(flow)
        return True

    def refused(self, flow: Flow) -> None:
        self._count_stranger(flow)

    def malformed(self, flow: Flow, error: ParseError) -> None:
        self._unreadable()
        log.debug("malformed message", source=flow.remote[0], problem=str(error))
        self._count_against(flow, 1, "unknown source ignored")

    def failed(self, flow: Flow) -> None:
        self.counts["unauthenticated"] += 1
        self._count_against(flow, FAILURE_WEIGHT, "authentication failed")

    def summary(self) -> Mapping[str, Any]:
        """What /healthz reports about strangers."""
        return {
            "banned": len(self._bans),
            "strangers": [
                {"source": source, "messages": messages, "banned": barred}
                for source, messages, barred in self._bans.busiest(TOP)
            ],
        }

    def banned(self) -> int:
        """How many sources are banned now."""
        return len(self._bans)

    def _count_stranger(self, flow: Flow, *, calls: bool = False) -> None:
        self.counts["unknown"] += 1
        self._turned_away()
        self._count_against(flow, 1, "unknown source ignored", calls=calls)

    def _count_against(self, flow: Flow, weight: int, what: str, *, calls: bool = False) -> None:
        """Count it against a stranger, and log what is new; nothing ever counts against a trunk."""
        if self.admits(flow):
            return
        news, barred = self._bans.strike(flow, weight, calls=calls)
        if barred:
            for_s = self._ban_policy.ban_s
            self._warn("source banned", flow, because=what, transport=flow.transport, for_s=for_s)
        elif news:
            self._warn(what, flow, transport=flow.transport)

    def _count_scanner(self, flow: Flow) -> None:
        self.counts["scanner"] += 1
        self._turned_away()
        self._count_against(flow, self._ban_policy.ban_after, "scanner ignored")

    def _warn(self, what: str, flow: Flow, **more: Any) -> None:
        """Log a warning, at most a few a minute."""
        number = self._lines.count(_now())
        if number <= LINES_PER_MINUTE:
            log.warning(what, source=flow.remote[0], **more)
        elif number == LINES_PER_MINUTE + 1:
            log.warning("strangers are not logged for a minute: there are too many; see /healthz")


def _now() -> float:
    return asyncio.get_running_loop().time()
