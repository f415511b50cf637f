"""Fetches and caches the certificates that sign for telephone numbers (the ``x5u`` of RFC 8225).

Anybody can send a token and so make us fetch a URL of their choice (SSRF). So: HTTPS only, a public address
that is resolved once and then used, no redirects, and limits on size, time and concurrency.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx2
import structlog
from cryptography import x509

from screening.stir.credential import Credential, CredentialRefused, load_credential
from screening.stir.host_lookup import HostLookup
from screening.stir.passport import PassportRefused

log = structlog.get_logger("screendoor")

MAX_BYTES = 65536
FETCH_LIMIT_S = 5.0
MAX_FETCHES = 16
"""Maximum concurrent fetches."""
MAX_CACHED = 500
DEFAULT_CACHE_S, MIN_CACHE_S, MAX_CACHE_S = 3600.0, 300.0, 86400.0
"""Cache lifetime of a certificate: the default, and the bounds on what its server may ask for."""
FAILURE_CACHE_S = 60.0
"""Cache lifetime of a failure to fetch or validate."""
MAX_URL_CHARS = 512
PORTS = frozenset((443, 8443))
"""The ports that ATIS-1000074 allows."""

_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}", re.IGNORECASE
).fullmatch
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*").fullmatch
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})").search
_EMBEDDING_IPV4 = [ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
"""IPv6 prefixes that translate or tunnel to an IPv4 address, which may be any."""

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


def is_public(address: Address) -> bool:
    """Whether an address is globally routable, and does not map to another that may not be."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in each for each in _EMBEDDING_IPV4):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


@dataclass(frozen=True, slots=True)
class _CacheEntry:
    result: Credential | PassportRefused
    since: datetime
    until: datetime

    def is_current(self, now: datetime) -> bool:
        """Whether the entry is current. One from the future is not: our clock was ahead then, which may be
        why the certificate was refused.
        """
        return self.since <= now < self.until


class CertificateCache:
    """Fetches and caches certificates while entered as an ``async with``."""

    def __init__(
        self,
        roots: Sequence[x509.Certificate],
        wall_clock: Callable[[], datetime],
        *,
        resolve: Resolve | None = None,
        ports: Collection[int] = PORTS,
        permitted: Callable[[Address], bool] = is_public,
        http: Callable[[], httpx2.AsyncClient] | None = None,
    ) -> None:
        self._roots, self._wall_clock = roots, wall_clock
        self._resolve, self._ports, self._permitted = resolve or HostLookup(), ports, permitted
        self._client = http or (lambda: httpx2.AsyncClient(trust_env=False))
        self._cache: dict[str, _CacheEntry] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        self._http = self._client()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._fetching.values():
            task.cancel()
        await self._tasks.__aexit__(kind, error, trace)
        await self._http.aclose()

    def cached(self, url: str) -> Credential | None:
        """Return the cached certificate, None if there is none; raises `PassportRefused` for a cached
        failure.
        """
        entry = self._cache.get(url)
        if entry is None or not entry.is_current(self._wall_clock()):
            return None
        if isinstance(entry.result, PassportRefused):
            raise PassportRefused(str(entry.result), entry.result.result)
        return entry.result

    def fetch(self, url: str) -> asyncio.Task[None]:
        """Start to fetch a URL, after which it is `cached`; raises `PassportRefused` if it may not
        be fetched.
        """
        host, port, path = parse_url(url, self._ports)
        if (going := self._fetching.get(url)) is not None:
            return going
        if len(self._fetching) >= MAX_FETCHES:
            raise PassportRefused("too many certificates are being fetched", "unknown")
        task = self._fetching[url] = self._tasks.create_task(self._fetch(url, host, port, path))
        task.add_done_callback(lambda task: self._fetching.pop(url, None))
        return task

    async def _fetch(self, url: str, host: str, port: int, path: str) -> None:
        result: Credential | PassportRefused
        cache_s = FAILURE_CACHE_S
        try:
            async with asyncio.timeout(FETCH_LIMIT_S):
                file, max_age_s = await self._download(host, port, path)
            result, cache_s = load_credential(file, self._roots, self._wall_clock()), max_age_s
        except CredentialRefused as refused:
            result = PassportRefused(str(refused))
        except PassportRefused as refused:
            result = refused
        except TimeoutError:
            result = PassportRefused("the certificate's server did not answer in time", "unknown")
        except (OSError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            result = PassportRefused("the certificate's server is not reached", "unknown")
            log.debug("certificate not fetched", problem=type(error).__name__)
        except Exception:
            log.exception("certificate not read")
            result = PassportRefused("the certificate cannot be read", "unknown")
        now = self._wall_clock()
        self._store(url, _CacheEntry(result, now, now + timedelta(seconds=cache_s)))

    def _store(self, url: str, entry: _CacheEntry) -> None:
        self._cache.pop(url, None)
        self._cache[url] = entry
        if len(self._cache) > MAX_CACHED:
            del self._cache[next(iter(self._cache))]

    async def _download(self, host: str, port: int, path: str) -> tuple[bytes, float]:
        addresses = await self._resolve(host, port)
        if not addresses:
            raise PassportRefused("the certificate's server is not known", "unknown")
        if not all(self._permitted(ip_address(each.partition("%")[0])) for each in addresses):
            raise PassportRefused("the certificate's server has no public address")
        # Connect to the address that was checked: a second look-up might return another (DNS rebinding).
        where = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        headers = {"Host": host if port == 443 else f"{host}:{port}", "Accept-Encoding": "identity"}
        async with self._http.stream(
            "GET",
            f"https://{where}:{port}{path}",
            headers=headers,
            follow_redirects=False,
            extensions={"sni_hostname": host},
        ) as answer:
            if "Content-Encoding" in answer.headers:
                raise PassportRefused("the certificate's server sent it compressed", "unknown")
            if answer.status_code != 200:
                raise PassportRefused(f"the certificate's server answered {answer.status_code}", "unknown")
            file = bytearray()
            async for chunk in answer.aiter_raw():
                file += chunk
                if len(file) > MAX_BYTES:
                    raise PassportRefused("the certificate is too large", "unknown")
        return bytes(file), _max_age_s(answer.headers.get("Cache-Control", ""))


def parse_url(url: str, ports: Collection[int]) -> tuple[str, int, str]:
    """Return host, port and path of a URL that may be fetched; raises `PassportRefused`."""
    refused = PassportRefused("the certificate's address is not one that is fetched")
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable():
        raise refused
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise refused from None
    host, path = parts.hostname or "", parts.path or "/"
    plain = not (parts.query or parts.fragment or "@" in parts.netloc or "?" in url or "#" in url)
    if parts.scheme != "https" or not plain or port not in ports or not _HOST(host) or not _PATH(path):
        raise refused
    return host, port, path


def _max_age_s(control: str) -> float:
    said = _MAX_AGE(control.lower())
    return min(max(float(said[1]), MIN_CACHE_S), MAX_CACHE_S) if said else DEFAULT_CACHE_S
