"""Where in-dialog requests go (RFC 3261 §12.2.1.1, RFC 5626 §5.3)."""

from __future__ import annotations

import pytest

from proxy.transport.flow import Address, TransportFailed
from proxy.ua.route import on_course, reach
from tests.ua.house import Far, House


class AFlow:
    peer_name = None

    def __init__(self, transport: str, remote: Address, closed: bool = False) -> None:
        self.transport, self.remote, self.closed = transport, remote, closed
        self.reliable = transport != "udp"
        self.local = ("203.0.113.10", 5060)

    def send(self, data: bytes) -> None: ...
    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("transport", "remote", "closed", "next_hop", "expected"),
    [
        ("tls", ("8.8.8.8", 5061), False, "sip:x@elsewhere.example.com", True),
        ("tls", ("8.8.8.8", 5061), True, "sip:x@8.8.8.8:5061", False),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@8.8.8.8", True),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@8.8.8.8:5062", False),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@8.8.4.4", False),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@10.0.0.1:5071", True),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@100.64.0.1:5071", True),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@127.0.0.1:5071", False),
        ("udp", ("10.0.0.2", 5060), False, "sip:x@10.0.0.1", False),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@pbx.example.com", False),
        ("udp", ("2001:db8::1", 5060), False, "sip:x@[2001:db8::1]:5060", True),
        ("udp", ("8.8.8.8", 5060), False, "tel:+14155550100", False),
    ],
)  # fmt: skip
def test_a_flow_leads_to_the_next_hop_or_it_does_not(
    transport: str, remote: Address, closed: bool, next_hop: str, expected: bool
) -> None:
    assert on_course(AFlow(transport, remote, closed), next_hop) is expected


async def test_the_transport_of_the_dialog_wins_over_what_the_uri_says(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tls")
    await far.start()
    for uri in ("sip:x@192.0.2.7:5061", "sips:x@192.0.2.7", "sip:x@192.0.2.7:5061;transport=udp"):
        assert (await reach(house.network, uri, "tls")).transport == "tls"


async def test_the_first_address_that_answers_is_taken(house: House) -> None:
    dead = Far(house.wire, "192.0.2.7", "tcp", names=("pbx.example.com",))
    alive = Far(house.wire, "192.0.2.8", "tcp", names=("pbx.example.com",))
    await alive.start()
    assert (await reach(house.network, "sip:x@pbx.example.com;transport=tcp")).remote[0] == alive.address
    assert dead.heard == []
    with pytest.raises(TransportFailed):
        await reach(house.network, "sip:x@192.0.2.7;transport=tcp")


async def test_a_uri_without_a_host_leads_nowhere(house: House) -> None:
    with pytest.raises(TransportFailed):
        await reach(house.network, "tel:+14155550100", "tls")
    with pytest.raises(TransportFailed):
        await reach(house.network, "tel:+14155550100")
