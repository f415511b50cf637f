"""Rules out dangerous settings: call loops, and the screening of emergency calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxy.config import values
from proxy.config.numbers import is_emergency, regions_of
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, read, tables
from proxy.sip.uri import Uri

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


def check(raw: Raw) -> Iterator[Found]:
    """Yield everything in the settings that would be dangerous."""
    yield from _emergency(raw)
    yield from _calls_to_ourselves(raw)
    yield from _call_loops(raw)


def _emergency(raw: Raw) -> Iterator[Found]:
    """No number in the file is an emergency number in any country that occurs in the file."""
    written = dict(_numbers(raw))
    regions = regions_of(written.values())
    for at, number in written.items():
        # Other checks report numbers that are emergency numbers everywhere.
        alone = at.endswith((".dialed", "]")) and is_emergency(number)
        if is_emergency(number, regions) and not alone:
            yield at, fault(values.EMERGENCY_EXPECTED, shown(number))


def _numbers(raw: Raw) -> Iterator[tuple[str, str]]:
    """Yield every number in the file with its key."""
    for at, trunk in tables(raw, "trunk"):
        yield from _text(f"{at}.caller_id", trunk.get("caller_id"))
    for at, number in tables(raw, "number"):
        yield from _text(f"{at}.dialed", number.get("dialed"))
        yield from _text(f"{at}.refer_target", _user(number.get("refer_target")))
        places = number.get("destinations")
        for i, place in enumerate(places if isinstance(places, list) else []):
            yield from _text(f"{at}.destinations[{i}]", _user(place))


def _text(at: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield at, value


def _user(value: object) -> str | None:
    """The user part of a URI as written, or the number of a tel: URI; also inside a table with `to`."""
    value = value.get("to") if isinstance(value, Mapping) else value
    if not isinstance(value, str):
        return None
    rest = value.partition(":")[2]
    return rest.partition("@")[0] if rest else value


def _calls_to_ourselves(raw: Raw) -> Iterator[Found]:
    """Nothing that we call is one of our own listeners."""
    for at, uri in _called(raw):
        if _is_us(uri, raw):
            yield at, fault("somebody else's address (a call to ourselves would never end)", shown(str(uri)))


def _called(raw: Raw) -> Iterator[tuple[str, Uri]]:
    for kind, key in (("trunk", "outbound"), ("agent", "sip")):
        for at, table in tables(raw, kind):
            if uri := read(values.sip_uri, table.get(key)):
                yield f"{at}.{key}", uri
    for at, number in tables(raw, "number"):
        places = number.get("destinations")
        for i, place in enumerate(places if isinstance(places, list) else []):
            meant = read(values.destination, place)
            if meant is not None and meant.uri is not None:
                yield f"{at}.destinations[{i}]", meant.uri


def _is_us(uri: Uri, raw: Raw) -> bool:
    public = raw.get("public")
    ours = (
        {str(public.get(key)).lower() for key in ("host", "address")}
        if isinstance(public, Mapping)
        else set()
    )
    listens = [
        (listen.get("transport"), bound)
        for _, listen in tables(raw, "listen")
        if (bound := read(values.bind, listen.get("bind")))
    ]
    host = uri.host.lower().strip("[]").rstrip(".")
    transport = uri.transport or ("tls" if uri.secure else None)
    for name, (address, port) in listens:
        wanted = uri.port or DEFAULT_PORTS.get(str(name))
        if host in ours | {address} and wanted == port and transport in (None, name):
            return True
    return False


def _call_loops(raw: Raw) -> Iterator[Found]:
    """No number leads back to itself through a trunk that would deliver the call to us again."""
    leads: dict[str, list[str]] = {}
    where: dict[str, str] = {}
    for at, number in tables(raw, "number"):
        dialed, places = number.get("dialed"), number.get("destinations")
        if isinstance(dialed, str) and isinstance(places, list):
            meant = [read(values.destination, place) for place in places]
            leads[dialed] = [one.number for one in meant if one and one.number and one.uri is None]
            where[dialed] = f"{at}.destinations"
    for dialed in leads:
        if _reaches(dialed, dialed, leads):
            expected = "numbers that do not lead back to this one (the call would come in again)"
            yield where[dialed], fault(expected, shown(dialed))


def _reaches(start: str, wanted: str, leads: Mapping[str, list[str]]) -> bool:
    seen, ahead = set[str](), [start]
    while ahead:
        for place in leads.get(ahead.pop(), ()):
            if place == wanted:
                return True
            if place not in seen:
                seen.add(place)
                ahead.append(place)
    return False
