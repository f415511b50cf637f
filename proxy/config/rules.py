"""Checks across keys, which cannot be made on a single value.

They read the raw TOML, so that they run and are reported whatever else is wrong with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.config import certificate, values
from proxy.config.callers import asks
from proxy.config.paths import SettingsContext
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, certified, loads, read, tables
from proxy.config.values import Destination

_NEEDED_BY = {"ppi_account": ("username", "caller_id"), "pai_original": ("caller_id",)}
"""Keys that a trunk needs for each identity profile."""
_PAIRS = (
    ("username", "password"),
    ("password", "username"),
    ("inbound_username", "inbound_password"),
    ("inbound_password", "inbound_username"),
)


def check(raw: Raw, where: SettingsContext) -> Iterator[Found]:
    """Yield every inconsistency between the keys of a settings file."""
    yield from _required_tables(raw)
    for table, key in (
        ("trunk", "name"),
        ("trunk", "inbound_username"),
        ("phone", "name"),
        ("agent", "name"),
        ("number", "dialed"),
    ):
        yield from _unique(raw, table, key)
    yield from _address_families(raw)
    yield from _listeners_distinct(raw)
    yield from _media_ports_free(raw)
    for at, listen in tables(raw, "listen"):
        yield from certified(at, listen, where, needed=listen.get("transport") == "tls")
    if isinstance(raw.get("http"), dict):
        yield from certified("http", raw["http"], where, needed=False)
    for at, trunk in tables(raw, "trunk"):
        yield from _trunk_usable(at, trunk)
    for at, agent in tables(raw, "agent"):
        if file := read(where.file, agent.get("ca")):
            yield from loads(f"{at}.ca", certificate.certificate, file)
    yield from _agents_reachable(raw)
    yield from _backups_exist(raw)
    yield from _speech_has_key(raw)
    for at, number in tables(raw, "number"):
        yield from _number_reachable(at, number, raw)


def _required_tables(raw: Raw) -> Iterator[Found]:
    common = raw["screening"] if isinstance(raw.get("screening"), dict) else {}
    screened = any(asks(number.get("screen"), number, common) for _, number in tables(raw, "number"))
    for name in ("listen", "trunk", "agent", "number"):
        if raw.get(name, []) == [] and (name != "agent" or screened or not raw.get("number")):
            yield name, fault(f"at least one [[{name}]] table", "none")


def _unique(raw: Raw, table: str, key: str) -> Iterator[Found]:
    seen: dict[str, str] = {}
    for at, one in tables(raw, table):
        value = one.get(key)
        if not isinstance(value, str):
            continue
        if value in seen:
            yield f"{at}.{key}", fault("one that no other has", f"{shown(value)}, as in {seen[value]}")
        seen.setdefault(value, at)


def _address_families(raw: Raw) -> Iterator[Found]:
    """`address6` is only for use with an IPv4 `address`."""
    public = raw["public"] if isinstance(raw.get("public"), dict) else {}
    if "address6" in public and ":" in str(public.get("address", "")):
        yield "public.address6", fault("an IPv4 address in public.address beside it", "an IPv6 address")


def _listeners_distinct(raw: Raw) -> Iterator[Found]:
    """No two listeners share a port; TCP, TLS and HTTP all use TCP ports."""
    seen: dict[tuple[bool, str, int], str] = {}
    http = raw["http"] if isinstance(raw.get("http"), dict) else {}
    for at, one in [*tables(raw, "listen"), ("http", {"bind": "0.0.0.0:8080", "transport": "tcp"} | http)]:
        bound, transport = read(values.bind, one.get("bind")), one.get("transport")
        if bound is None or bound[1] == 0 or transport not in ("udp", "tcp", "tls"):
            continue
        place = (transport == "udp", *bound)
        if place in seen:
            yield f"{at}.bind", fault("a port of its own", f"{shown(one['bind'])}, as in {seen[place]}")
        seen.setdefault(place, at)


def _media_ports_free(raw: Raw) -> Iterator[Found]:
    media = raw["media"] if isinstance(raw.get("media"), dict) else {}
    ports = read(values.ports, media.get("ports", "20000-29999"))
    for at, listen in tables(raw, "listen"):
        bound = read(values.bind, listen.get("bind"))
        if ports and bound and listen.get("transport") == "udp" and ports.low <= bound[1] <= ports.high:
            yield f"{at}.bind", fault(f"a port outside the media ports {ports}", str(bound[1]))


def _trunk_usable(at: str, trunk: Raw) -> Iterator[Found]:
    if not any(trunk.get(key) for key in ("from", "outbound", "registrar", "inbound_username")):
        yield f"{at}.from", fault("who may call (from) or where our calls go (outbound)", "neither")
    for one, other in _PAIRS:
        if one in trunk and other not in trunk:
            yield f"{at}.{other}", fault(f"a {other}, since there is a {one}", "nothing")
    for key in _NEEDED_BY.get(str(trunk.get("identity")), ()):
        if key not in trunk:
            yield f"{at}.{key}", fault(f"a {key} (identity {shown(trunk['identity'])} needs it)", "nothing")
    if trunk.get("register") is True:
        if "username" not in trunk:
            yield f"{at}.username", fault("a username and a password (register needs them)", "nothing")
        if not trunk.get("registrar") and not trunk.get("outbound"):
            yield f"{at}.registrar", fault("where to register: registrar, or outbound", "neither")


def _backups_exist(raw: Raw) -> Iterator[Found]:
    names = [agent.get("name") for _, agent in tables(raw, "agent")]
    for at, agent in tables(raw, "agent"):
        others = [name for name in names if name != agent.get("name")]
        if isinstance(backup := agent.get("backup"), str) and backup not in others:
            yield f"{at}.backup", fault(f"the name of another [[agent]] ({_list(others)})", shown(backup))


def _agents_reachable(raw: Raw) -> Iterator[Found]:
    """A vendor with an API connects back to us: SIP over TLS (its REFER) and HTTP (its webhook)."""
    tls = any(listen.get("transport") == "tls" for _, listen in tables(raw, "listen"))
    for at, agent in tables(raw, "agent"):
        provider = agent.get("provider", "openai-realtime")
        if provider == "sip":
            continue
        for key in ("api_key", "webhook_secret"):
            if key not in agent:
                yield f"{at}.{key}", fault(f"env:NAME or file:PATH ({provider} needs it)", "nothing")
        if not tls:
            expected = f'a [[listen]] with transport = "tls" ({provider} calls back)'
            yield f"{at}.provider", fault(expected, "none")


def _speech_has_key(raw: Raw) -> Iterator[Found]:
    speech = raw["speech"] if isinstance(raw.get("speech"), dict) else {}
    agents = [agent for _, agent in tables(raw, "agent") if agent.get("provider") != "azure-realtime"]
    paid = "api_key" in speech or any("api_key" in agent for agent in agents)
    if speech.get("provider") == "openai" and not paid:
        yield "speech.api_key", fault("env:NAME or file:PATH (provider openai needs it)", "nothing")


def _number_reachable(at: str, number: Raw, raw: Raw) -> Iterator[Found]:
    agents = [agent.get("name") for _, agent in tables(raw, "agent")]
    if isinstance(named := number.get("agent"), str) and named not in agents:
        yield f"{at}.agent", fault(f"the name of an [[agent]] ({_list(agents)})", shown(named))
    written = number.get("destinations")
    places = [read(values.destination, one) for one in written] if isinstance(written, list) else []
    for i, destination in enumerate(places):
        if destination is not None and destination.uri is None:
            yield from _dialed_through(f"{at}.destinations[{i}]", destination, raw)
        elif destination is not None and destination.phone is not None:
            phones = [phone.get("name") for _, phone in tables(raw, "phone")]
            if destination.phone not in phones:
                expected = f"the name of a [[phone]] before @registered ({_list(phones)})"
                yield f"{at}.destinations[{i}]", fault(expected, shown(destination.phone))
    target = number.get("refer_target")
    if isinstance(target, str) and all(places) and not any(_selects(target, one) for one in places if one):
        yield f"{at}.refer_target", fault("the URI or the number of a destination", shown(target))


def _dialed_through(at: str, destination: Destination, raw: Raw) -> Iterator[Found]:
    trunks = {str(trunk.get("name")): trunk for _, trunk in tables(raw, "trunk")}
    if destination.trunk is None:
        if not any("outbound" in trunk for trunk in trunks.values()):
            yield at, fault("a [[trunk]] with outbound to dial it through", "none")
    elif destination.trunk not in trunks:
        yield at, fault(f"the name of a [[trunk]] after trunk: ({_list(trunks)})", shown(destination.trunk))
    elif "outbound" not in trunks[destination.trunk]:
        yield at, fault("a trunk with outbound", f"{shown(destination.trunk)}, which has none")


def _selects(target: str, destination: Destination) -> bool:
    if target == destination.text:
        return True
    named = read(values.destination, target)
    return named is not None and named.number is not None and named.number == destination.number


def _list(names: Any) -> str:
    return ", ".join(str(name) for name in names if name) or "none is configured"
