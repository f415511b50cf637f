"""Checks across the TLS keys, and of the files that they name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.config import certificate, values
from proxy.config.paths import SettingsContext
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, certified, loads, read, tables
from proxy.config.values import TLS_PREFIX


def check(raw: Raw, where: SettingsContext) -> Iterator[Found]:
    """Yield every inconsistency between the TLS keys."""
    for at, listen in tables(raw, "listen"):
        yield from _versions(at, listen)
        yield from _authorities(f"{at}.client_ca", listen.get("client_ca"), where)
        asked = listen.get("client_certificates", "off") != "off"
        if asked and listen.get("transport") != "tls":
            yield f"{at}.client_certificates", fault('transport = "tls" beside it', "none")
        if "client_ca" in listen and not asked:
            yield f"{at}.client_ca", fault('client_certificates = "request" or "require" beside it', "off")
    for table, out in (("trunk", "outbound"), ("agent", "sip")):
        for at, one in tables(raw, table):
            if isinstance(one.get("tls"), dict):
                yield from _terms(f"{at}.tls", one["tls"], where)
                yield from _spoken(at, one.get(out))
            if one.get("keep_connected") is True and table == "trunk" and out not in one:
                yield f"{at}.keep_connected", fault("outbound, which says where to", "none")
    yield from _shown(raw)


def _terms(at: str, tls: Raw, where: SettingsContext) -> Iterator[Found]:
    yield from _versions(at, tls)
    yield from certified(at, tls, where, needed=False)
    yield from _authorities(f"{at}.ca", tls.get("ca"), where)


def _versions(at: str, one: Raw) -> Iterator[Found]:
    low, high = one.get("min_version", "1.2"), one.get("max_version", "1.3")
    if (low, high) == ("1.3", "1.2"):
        yield f"{at}.max_version", fault(f"min_version ({low}) or more", shown(high))


def _authorities(at: str, path: Any, where: SettingsContext) -> Iterator[Found]:
    if file := read(where.file, path):
        yield from loads(at, certificate.certificate, file)


def _spoken(at: str, written: Any) -> Iterator[Found]:
    """TLS settings for a peer that is called without TLS would give a false sense of security."""
    uri = read(values.sip_uri, written)
    if uri is not None and uri.scheme == "sip" and uri.transport in ("udp", "tcp"):
        yield f"{at}.tls", fault("a URI that is called over TLS beside it", f"transport={uri.transport}")


def _shown(raw: Raw) -> Iterator[Found]:
    """To recognise a trunk by its certificate, a listener has to request one."""
    asked = any(listen.get("client_certificates", "off") != "off" for _, listen in tables(raw, "listen"))
    for at, trunk in tables(raw, "trunk"):
        sources = trunk.get("from")
        for i, source in enumerate(sources if isinstance(sources, list) else []):
            if isinstance(source, str) and source.lower().startswith(TLS_PREFIX) and not asked:
                expected = 'a [[listen]] with client_certificates = "request" or "require"'
                yield f"{at}.from[{i}]", fault(expected, "none")
