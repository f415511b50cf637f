"""Admission by source address: trunks are let in, strangers get no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from proxy.call.admission import Admission, BanPolicy
from proxy.call.bans import WINDOW_S
from proxy.call.sources import Source
from proxy.lab.carrier import Carrier
from proxy.sip.errors import ParseError
from proxy.transport.flow import Target
from proxy.transport.log_limit import LINES_PER_MINUTE
from tests.call.flows import stub_flow
from tests.kit import messages
from tests.kit.edge import CARRIER, EDGE, HOST, OPENAI, PHONE_NUMBER, STRANGER, Edge


async def nobody(name: str) -> tuple[Sequence[str], float]:
    raise OSError(f"{name} is not known")


async def resolved(name: str) -> tuple[Sequence[str], float]:
    return ["192.0.2.1"], 60.0


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_an_unknown_source_gets_no_response(edge: Edge, transport: str) -> None:
    host = edge.wire.host(STRANGER)
    port = 5061 if transport == "tls" else 5060
    stranger = Carrier(host, edge=f"{HOST}:{port}", bind=(STRANGER, port), transport=transport)
    await stranger.start()
    with capture_logs() as logs:
        await stranger.invites()
        await stranger.receives_nothing(for_s=30)
    assert [each for each in stranger.trace if each.direction == "<"] == []
    warnings = [line for line in logs if line["event"] == "unknown source ignored"]
    assert [line["source"] for line in warnings] == [STRANGER]
    assert edge.refused
    assert edge.records == []
    assert not any(edge.core.left_over().values())
    await stranger.close()


async def test_an_in_dialog_request_of_an_unknown_source_gets_no_response(edge: Edge) -> None:
    host = edge.wire.host(STRANGER)
    stranger = Carrier(host, edge=f"{HOST}:5060", bind=(STRANGER, 5060))
    await stranger.start()
    await stranger.invites()
    stranger.current.remote += ";tag=guess"
    bye = stranger.current.request("BYE")
    stranger.current.flow.send(bye.encode())
    await stranger.receives_nothing(for_s=30)
    assert [each for each in stranger.trace if each.direction == "<"] == []
    await stranger.close()


async def test_malformed_messages_of_a_trunk_are_counted_and_an_unparsable_cseq_gets_400(edge: Edge) -> None:
    await edge.carrier.invites(dialed="+14155550199")
    await edge.carrier.receives(404)
    sent = edge.carrier.current.invite.encode().replace(b"CSeq: 105354320 INVITE", b"CSeq: x INVITE")
    sent = sent.replace(b"branch=", b"branch=z9hG4bK-again-")
    flow = edge.carrier.current.flow
    with capture_logs() as logs:
        flow.send(sent)
        flow.send(b"\x00\x01\x02 nonsense \xff")
        await edge.time_passes(1)
    assert [line for line in logs if line["log_level"] in ("error", "critical")] == []
    assert len(edge.unreadable) == 2
    statuses = [each.data for each in edge.wire.trace if each.destination[0] == CARRIER]
    assert statuses[-1].startswith(b"SIP/2.0 400 ")


async def test_a_trunk_is_identified_by_its_address_and_other_addresses_are_unknown() -> None:
    gate = Admission({"a": ["198.51.100.7"], "b": ["sip.example.com"]}, resolved)
    assert gate.admits(stub_flow("198.51.100.7"))
    assert not gate.admits(stub_flow("192.0.2.1"))
    await gate.refresh()
    assert gate.admits(stub_flow("192.0.2.1"))
    assert gate.source(stub_flow("192.0.2.1")) == Source("b", wide=False)
    assert gate.source(stub_flow("192.0.2.9")) is None


def test_a_connection_without_a_remote_address_is_not_admitted() -> None:
    assert not Admission({"t": ["192.0.2.0/24"]}, nobody).admits(stub_flow(""))


async def test_a_source_is_logged_about_once_a_minute_and_counted_each_time() -> None:
    counted: list[None] = []
    gate = Admission({}, nobody, turned_away=lambda: counted.append(None))
    with capture_logs() as logs:
        for _ in range(3):
            gate.refused(stub_flow("192.0.2.1"))
        gate.refused(stub_flow("192.0.2.2"))
        await asyncio.sleep(WINDOW_S)
        gate.refused(stub_flow("192.0.2.1"))
    assert [line["source"] for line in logs] == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
    assert len(counted) == 5


async def test_log_lines_about_unknown_sources_are_limited_per_minute() -> None:
    gate = Admission({}, nobody)
    with capture_logs() as logs:
        for number in range(1000):
            gate.refused(stub_flow(f"10.0.{number >> 8}.{number & 255}"))
    assert len(logs) == LINES_PER_MINUTE + 1
    assert "too many" in logs[-1]["event"]
    assert gate.counts["unknown"] == 1000


async def test_an_unknown_source_is_banned_after_ban_after_messages_and_shown_in_health() -> None:
    gate = Admission({}, nobody, BanPolicy(ban_after=3, ban_s=60))
    flow = stub_flow("192.0.2.66")
    with capture_logs() as logs:
        gate.refused(flow)
        gate.malformed(flow, ParseError("nonsense"))
        assert not gate.bars(flow)
        gate.refused(flow)
    assert gate.bars(flow)
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == [
        "unknown source ignored",
        "source banned",
    ]
    assert gate.summary() == {
        "banned": 1,
        "strangers": [{"source": "192.0.2.66", "messages": 4, "banned": True}],
    }
    assert (gate.banned(), gate.counts["banned"]) == (1, 1)
    await asyncio.sleep(60)
    assert not gate.bars(flow)


async def test_trunks_and_proven_peers_are_never_banned() -> None:
    gate = Admission({"t": ["192.0.2.1"]}, nobody, BanPolicy(ban_after=2))
    trunk, agent = stub_flow("192.0.2.1"), stub_flow("192.0.2.2")
    gate.proved(agent)
    for _ in range(10):
        for flow in (trunk, agent):
            gate.malformed(flow, ParseError("nonsense"))
            gate.failed(flow)
        gate.refused(agent)
    assert not gate.bars(trunk)
    assert not gate.bars(agent)


async def test_a_banned_address_is_admitted_once_a_trunks_name_resolves_to_it() -> None:
    gate = Admission({"t": ["sip.example.com"]}, resolved, BanPolicy(ban_after=1))
    gate.refused(stub_flow("192.0.2.1"))
    assert gate.bars(stub_flow("192.0.2.1"))
    await gate.refresh()
    assert not gate.bars(stub_flow("192.0.2.1"))


async def test_wrong_passwords_are_counted_and_ban_sooner_than_unknown_messages() -> None:
    gate = Admission({}, nobody, BanPolicy(ban_after=4))
    gate.failed(stub_flow("192.0.2.66"))
    assert not gate.bars(stub_flow("192.0.2.66"))
    gate.failed(stub_flow("192.0.2.66"))
    assert gate.bars(stub_flow("192.0.2.66"))
    assert gate.counts["unauthenticated"] == 2


@pytest.mark.parametrize("agent", ["friendly-scanner", "SIPVicious 0.3", "xx VaxSIPUserAgent/3.1", "pplsip"])
async def test_a_scanners_user_agent_bans_unknown_sources_and_is_ignored_from_wide_trunk_networks(
    agent: str,
) -> None:
    gate = Admission({"wide": ["10.0.0.0/8"], "exact": ["192.0.2.1"]}, nobody)
    request = messages.request("OPTIONS")
    request.headers.add("User-Agent", agent)
    assert gate.scans(stub_flow("192.0.2.66"), request)
    assert gate.bars(stub_flow("192.0.2.66")), "at once"
    assert gate.scans(stub_flow("10.1.2.3"), request)
    assert not gate.bars(stub_flow("10.1.2.3")), "a trunk's is never banned"
    assert not gate.scans(stub_flow("192.0.2.1"), request), "a carrier passes on what it gets"
    assert gate.counts["scanner"] == 2
    assert not gate.scans(stub_flow("192.0.2.67"), messages.request("OPTIONS"))


async def test_out_of_dialog_requests_of_unknown_sources_are_ignored_except_register_of_a_known_user() -> (
    None
):
    gate = Admission({}, nobody)
    flow, options = stub_flow("192.0.2.66"), messages.request("OPTIONS")
    assert gate.ignores(flow, options.encode())
    assert gate.ignores(flow, b"nonsense")
    assert gate.counts["unknown"] == 2
    assert not gate.ignores(flow, messages.request("BYE", to_tag="x").encode())
    gate.usernames = (b"desk", b"pbx")
    assert not gate.ignores(flow, messages.request("REGISTER", uri="sip:desk@sbc.example.com").encode())
    assert gate.ignores(flow, messages.request("REGISTER").encode())
    assert gate.counts["unknown"] == 3
    options.headers.add("User-Agent", "SipVicious")
    assert gate.ignores(flow, options.encode())
    assert gate.bars(flow)
    assert gate.ignores(flow, messages.request("BYE", to_tag="x").encode())


async def test_the_list_of_scanner_user_agents_is_configurable() -> None:
    gate = Admission({}, nobody, BanPolicy(scanners=("nosy",)))
    request = messages.request("OPTIONS")
    request.headers.add("User-Agent", "Nosy/1.0")
    assert gate.scans(stub_flow("192.0.2.66"), request)
    request.headers.set("User-Agent", "friendly-scanner")
    assert not gate.scans(stub_flow("192.0.2.66"), request)


async def test_unparsable_messages_are_counted() -> None:
    counted: list[None] = []
    gate = Admission({}, nobody, unreadable=lambda: counted.append(None))
    gate.malformed(stub_flow("192.0.2.1"), ParseError("nonsense"))
    assert len(counted) == 1


async def test_messages_of_a_banned_source_are_not_parsed_and_its_connections_are_closed(edge: Edge) -> None:
    wire_host = edge.wire.host(STRANGER)
    stranger = Carrier(wire_host, edge=f"{HOST}:5060", bind=(STRANGER, 5060), transport="tcp")
    await stranger.start()
    for _ in range(20):
        await stranger.invites()
    await edge.time_passes(1)
    assert edge.gate.banned() == 1
    read = len(edge.refused)
    assert edge.core.left_over() == {name: 0 for name in edge.core.left_over()}
    await stranger.invites()
    await stranger.receives_nothing(for_s=5)
    assert len(edge.refused) == read
    stranger.current.flow.close()
    late = await wire_host.connect(Target("tcp", (EDGE, 5060), HOST))
    await edge.time_passes(1)
    assert late.closed
    assert [each for each in stranger.trace if each.direction == "<"] == []
    await stranger.close()


async def test_forged_requests_with_the_agents_source_address_do_not_ban_the_agent(edge: Edge) -> None:
    await edge.connects()
    liar = edge.wire.hosts[OPENAI]
    for number in range(50):
        forged = messages.request("OPTIONS", sent_by=OPENAI, branch=f"z9hG4bK{number}").encode()
        liar.wire.after(0.001, lambda forged=forged: edge.host.datagram((OPENAI, 5060), (EDGE, 5060), forged))
    await edge.time_passes(1)
    assert edge.gate.banned() == 0
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_an_ignored_invite_is_logged_even_from_the_address_of_a_registered_phone() -> None:
    """As behind Docker's bridge, or a router that hides the senders' addresses."""
    gate, bridge = Admission({}, nobody), stub_flow("172.17.0.1")
    gate.proved(bridge)
    with capture_logs() as logs:
        for request in (messages.request("OPTIONS"), messages.invite(), messages.invite()):
            assert gate.ignores(bridge, request.encode())
    assert [(each["event"], each["source"]) for each in logs] == [("unknown source ignored", "172.17.0.1")]
