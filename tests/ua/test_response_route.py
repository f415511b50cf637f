"""Where responses go: the source address noted in the top Via (RFC 3261 §18.2.1, RFC 3581 §4)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from proxy.sip.headers import Headers
from proxy.sip.message import Request
from proxy.sip.values import Via
from proxy.ua.response_route import add_source

HOP = "SIP/2.0/UDP 192.0.2.1:5060"
TOPS = [
    f"{HOP};branch=z9hG4bK1",
    f"{HOP};branch=z9hG4bK1;rport",
    f"{HOP};branch=z9hG4bK1;RPort",
    f"{HOP};branch=z9hG4bK1;rport=9",
    f"{HOP};branch=z9hG4bK1;rport;alias",
    f"{HOP};branch=z9hG4bK1;received=10.0.0.1",
    f"{HOP};branch=z9hG4bK1;received=10.0.0.1;rport",
    f"{HOP};rport;branch=z9hG4bK1",
    f"{HOP};rport;branch=z9hG4bK1;rport",
    f"{HOP};rport;branch=z9hG4bK1;alias",
    "SIP/2.0/udp 192.0.2.1;rport;branch=z9hG4bK1",
    "SIP / 2.0 / udp  192.0.2.1 : 5060;branch=z9hG4bK1;rport",
    "SIP/2.0/UDP Host.Example.com;branch=z9hG4bK1",
    "SIP/2.0/UDP Host.Example.com;branch=z9hG4bK1;rport",
    "SIP/2.0/UDP [2001:db8::9]:5060;branch=z9hG4bK1",
    "SIP/2.0/UDP 192.0.2.1;ttl=1;rport;x=rport",
    HOP,
]


@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize(
    "source", [("192.0.2.1", 5062), ("10.0.0.1", 5060), ("2001:db8::9", 7), ("fe80::1%eth0", 7)]
)
@pytest.mark.parametrize("name", ["Via", "v", "VIA"])
def test_add_source_sets_received_and_rport_in_the_top_via_only(
    top: str, source: tuple[str, int], name: str
) -> None:
    others = [("Max-Forwards", "70"), ("Via", "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK0")]
    request = Request("OPTIONS", "sip:b", Headers([("To", "<sip:b>"), (name, top), *others]))
    add_source(request, SimpleNamespace(remote=source))  # type: ignore[arg-type]
    assert [str(via) for via in request.vias] == [str(Via.parse(top).seen_from(*source)), others[1][1]]
    assert str(request.via) == request.headers.first["via"] or request.headers.first["via"] == top
    assert [key for key, _ in request.headers if key.lower() not in ("via", "v")] == ["To", "Max-Forwards"]


def test_of_two_vias_on_one_line_only_the_first_gets_received_and_rport() -> None:
    request = Request("OPTIONS", "sip:b", Headers([("Via", f"{TOPS[1]}, {TOPS[1]}")]))
    add_source(request, SimpleNamespace(remote=("192.0.2.1", 7)))  # type: ignore[arg-type]
    assert request.headers.get_all("Via") == [f"{TOPS[1]}=7;received=192.0.2.1", TOPS[1]]
