"""Our in-dialog requests: digest challenges, ACKs, routing, and resending on a new connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.sip.digest import DigestClient
from proxy.sip.message import Request
from proxy.transport.flow import Target, TransportFailed
from proxy.ua.errors import LegEnded, Rejected
from proxy.ua.leg import Leg
from proxy.ua.outgoing_invite import Outgoing
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.network import MemoryStream, MemoryUdp
from tests.ua.user_agent import PEER, Peer, UserAgent, from_callee

PROXY = ("Proxy-Authenticate", 'Digest realm="trunk", nonce="n1", algorithm=MD5, qop="auth"')
SERVER = ("WWW-Authenticate", 'Digest realm="pbx", nonce="n2", algorithm=SHA-256')


CONTACT = "<sip:p@192.0.2.7:5061>"
INTERNAL = "<sip:gateway-7.internal.example.net:5060>"


def secret() -> DigestClient:
    return DigestClient("u", "secret")


@pytest.mark.parametrize(
    ("status", "asks", "answers"), [(407, PROXY, "Proxy-Authorization"), (401, SERVER, "Authorization")]
)
async def test_a_challenged_bye_is_repeated_with_credentials_rfc3261_22_2(
    ua: UserAgent, status: int, asks: tuple[str, str], answers: str
) -> None:
    leg, _ = await ua.connected_leg(credentials=secret())
    leg.end(EndReason.COMPLETED)
    bye = await ua.peer.hears("BYE")
    ua.peer.answers(bye, 100, to_tag=None)
    ua.peer.answers(bye, status, headers=[asks])
    again = await ua.peer.hears("BYE")
    assert (again.cseq.number, answers in again.headers) == (bye.cseq.number + 1, True)
    assert again.headers.get("Reason") == bye.headers.get("Reason")
    assert len(again.vias) == 1
    ua.peer.answers(again, 200)
    await ua.assert_clean()


async def test_a_bye_whose_credentials_are_refused_still_ends_the_leg(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg(credentials=secret())
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 407, headers=[PROXY])
    ua.peer.answers(await ua.peer.hears("BYE"), 407, headers=[PROXY])
    await ua.assert_clean()
    assert ua.peer.count("BYE") == 2


async def test_a_challenged_bye_without_credentials_still_ends_the_leg(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg()
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 407, headers=[PROXY])
    await ua.assert_clean()


async def test_a_challenged_reinvite_is_repeated_with_credentials(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg(credentials=secret())
    offering = asyncio.ensure_future(leg.offer())
    first = await ua.peer.hears("INVITE")
    ua.peer.answers(first, 407, headers=[PROXY])
    again = await ua.peer.hears("INVITE")
    assert (again.cseq.number, again.body, again.to_tag) == (first.cseq.number + 1, first.body, "bob1")
    assert again.headers.get_all("Supported") == first.headers.get_all("Supported")
    ua.peer.answers(again, 200)
    await offering
    await asyncio.sleep(0.1)
    assert [ack.cseq.number for ack in ua.peer.all("ACK")] == [1, first.cseq.number, again.cseq.number]
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_challenge_to_a_reinvite_is_not_answered_after_the_leg_ended(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg(credentials=secret())
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await ua.peer.hears("INVITE")
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    ua.peer.answers(reinvite, 407, headers=[PROXY])
    with pytest.raises(LegEnded):
        await offering
    await ua.assert_clean()
    assert ua.peer.count("INVITE") == 2


async def test_a_retransmitted_2xx_to_a_reinvite_gets_the_same_ack_to_the_new_contact_rfc3261_12_2_1_2(
    ua: UserAgent,
) -> None:
    leg, _ = await ua.connected_leg()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await ua.peer.hears("INVITE")
    for _ in range(2):
        ua.peer.answers(reinvite, 200, contact=f"<sip:moved@{PEER}:5060>")
    await offering
    first, second = await ua.peer.hears("ACK"), await ua.peer.hears("ACK")
    assert first.uri == f"sip:moved@{PEER}:5060"
    assert first.encode() == second.encode()
    leg.end(EndReason.COMPLETED)
    assert (await ua.peer.hears("BYE")).uri == f"sip:moved@{PEER}:5060"


async def test_a_malformed_contact_in_a_2xx_to_a_reinvite_keeps_the_target(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg()
    offering = asyncio.ensure_future(leg.offer())
    ua.peer.answers(await ua.peer.hears("INVITE"), 200, contact="<sip:@@@>")
    await offering
    assert (await ua.peer.hears("ACK")).uri == f"sip:bob@{PEER}:5060"


@pytest.mark.parametrize(
    "named", [{"contact": INTERNAL}, {"headers": [("Record-Route", f"<{INTERNAL[1:-1]};lr>")]}]
)
async def test_an_in_dialog_request_to_an_unresolvable_target_uses_the_flow_of_the_dialog(
    ua: UserAgent, named: dict[str, Any]
) -> None:
    leg, _ = await ua.connected_leg(ok=named)
    offering = asyncio.ensure_future(leg.offer())
    ua.peer.answers(await ua.peer.hears("INVITE"), 200)
    await offering
    await ua.peer.hears("ACK")
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_in_dialog_requests_go_to_the_cluster_member_that_answered_the_invite(
    ua: UserAgent, transport: str
) -> None:
    """The other members of a cluster do not know the dialog, in whatever order DNS now returns them."""
    names = ("pbx.example.com",)
    another, member = (Peer(ua.wire, host, transport, names) for host in ("192.0.2.8", "192.0.2.7"))
    await another.start()
    await member.start()
    port = 5061 if transport == "tls" else 5060
    uri = f"sip:p@192.0.2.7:{port};transport={transport}"
    leg, _ = await ua.connected_leg(member, uri=uri, ok={"contact": f"<sip:p@pbx.example.com:{port}>"})
    if transport == "tls":
        ua.wire.cut(leg.flow)
    leg.end(EndReason.COMPLETED)
    member.answers(await member.hears("BYE"), 200)
    await ua.assert_clean()
    assert another.heard == []


async def a_call_with_a_member(ua: UserAgent, transport: str) -> tuple[Leg, Peer, Peer]:
    """A leg to one member of a cluster, whose Contact names all of them; that member, and another."""
    names = ("pbx.example.com",)
    another, member = (Peer(ua.wire, host, transport, names) for host in ("192.0.2.8", "192.0.2.7"))
    await another.start()
    await member.start()
    port = 5061 if transport == "tls" else 5060
    uri = f"sip:p@192.0.2.7:{port};transport={transport}"
    leg, _ = await ua.connected_leg(member, uri=uri, ok={"contact": f"<sip:p@pbx.example.com:{port}>"})
    return leg, member, another


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_bye_unanswered_by_its_cluster_member_goes_to_the_next_rfc3263_4_3(
    ua: UserAgent, transport: str
) -> None:
    leg, member, another = await a_call_with_a_member(ua, transport)
    ua.wire.silence("192.0.2.7")
    leg.end(EndReason.COMPLETED)
    began = asyncio.get_running_loop().time()
    bye = await another.hears("BYE", within_s=40)
    assert asyncio.get_running_loop().time() - began == pytest.approx(32, abs=0.5)
    assert (bye.call_id, bye.to_tag, bye.headers.get("Reason")) == (
        leg.dialog.id.call_id,
        leg.dialog.id.remote_tag,
        EndReason.COMPLETED.header,
    )
    another.answers(bye, 200)
    assert len(bye.vias) == 1
    await ua.assert_clean()
    assert (member.count("BYE"), another.count("BYE")) == (0, 1)


async def test_a_bye_answered_503_goes_to_the_next_cluster_member_rfc3263_4_3(ua: UserAgent) -> None:
    leg, member, another = await a_call_with_a_member(ua, "tls")
    leg.end(EndReason.COMPLETED)
    member.answers(await member.hears("BYE"), 503)
    another.answers(await another.hears("BYE"), 503)
    await ua.assert_clean()
    assert (member.count("BYE"), another.count("BYE")) == (1, 1)


async def test_a_bye_that_no_cluster_member_answers_is_given_up_rfc3263_4_3(ua: UserAgent) -> None:
    leg, member, another = await a_call_with_a_member(ua, "tcp")
    for host in ("192.0.2.7", "192.0.2.8"):
        ua.wire.silence(host)
    leg.end(EndReason.COMPLETED)
    await asyncio.sleep(100)
    await ua.assert_clean()
    assert (member.count("BYE"), another.count("BYE")) == (0, 0)


async def test_a_bye_unanswered_by_the_only_address_is_not_repeated(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg()
    leg.end(EndReason.COMPLETED)
    await ua.peer.hears("BYE")
    await asyncio.sleep(40)
    first = ua.peer.count("BYE")
    await ua.assert_clean()
    assert ua.peer.count("BYE") == first


async def behind_a_nat(ua: UserAgent) -> tuple[Leg, Request, Peer, Peer]:
    """A leg to a phone with a private address in its Contact; the INVITE, the phone, and its next address."""
    phone, elsewhere = Peer(ua.wire, "8.8.8.8"), Peer(ua.wire, "8.8.4.4")
    await phone.start()
    await elsewhere.start()
    ok = {"contact": "<sip:alice@10.0.0.7:5060>"}
    leg, invite = await ua.connected_leg(phone, uri="sip:alice@8.8.8.8:5060", ok=ok)
    return leg, invite, phone, elsewhere


async def test_an_unanswered_bye_to_a_peer_behind_nat_is_not_sent_to_its_private_contact(
    ua: UserAgent,
) -> None:
    leg, _, phone, _ = await behind_a_nat(ua)
    private = Peer(ua.wire, "10.0.0.7")
    await private.start()
    ua.wire.silence("8.8.8.8")
    leg.end(EndReason.COMPLETED)
    await asyncio.sleep(80)
    await ua.assert_clean()
    assert (phone.count("BYE"), private.heard) == (0, [])


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_a_bye_goes_to_the_source_of_the_last_target_refresh_of_a_peer_behind_nat_rfc3261_12_2_2(
    ua: UserAgent, method: str
) -> None:
    """The source address of a re-INVITE or UPDATE shows it; the Contact is not reachable for us."""
    leg, invite, phone, elsewhere = await behind_a_nat(ua)
    anew = from_callee(invite, method, body=messages.SDP)
    anew.headers.set("Contact", "<sip:alice@10.1.1.3:5060>")
    await elsewhere.says(anew)
    await elsewhere.hears(200)
    if method == "INVITE":
        await elsewhere.says(from_callee(invite, "ACK", branch="z9hG4bKack"))
    leg.end(EndReason.COMPLETED)
    bye = await elsewhere.hears("BYE")
    assert (bye.uri, phone.count("BYE")) == ("sip:alice@10.1.1.3:5060", 0)
    elsewhere.answers(bye, 200)
    await ua.assert_clean()


async def test_an_options_from_another_address_does_not_move_the_dialog(ua: UserAgent) -> None:
    leg, invite, phone, elsewhere = await behind_a_nat(ua)
    await elsewhere.says(from_callee(invite, "OPTIONS"))
    await elsewhere.hears(200)
    leg.end(EndReason.COMPLETED)
    phone.answers(await phone.hears("BYE"), 200)
    await ua.assert_clean()


@pytest.fixture
async def peer(ua: UserAgent) -> Peer:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    return peer


async def over_tls(ua: UserAgent, peer: Peer) -> tuple[Leg, Request]:
    """An outgoing leg to a peer whose Contact names no transport."""
    ok = {"contact": CONTACT}
    return await ua.connected_leg(peer, uri="sip:p@192.0.2.7:5061;transport=tls", ok=ok)


async def test_a_request_pending_on_a_lost_connection_is_repeated_on_a_new_one(
    ua: UserAgent, peer: Peer
) -> None:
    leg, _ = await over_tls(ua, peer)
    leg.end(EndReason.COMPLETED)
    first = await peer.hears("BYE")
    ua.wire.cut(ua.wire.flows()[0])
    again = await peer.hears("BYE")
    assert again.cseq.number == first.cseq.number + 1
    assert len(again.vias) == 1
    peer.answers(again, 200)
    await ua.assert_clean()


async def test_a_request_that_loses_two_connections_fails(ua: UserAgent, peer: Peer) -> None:
    leg, _ = await over_tls(ua, peer)
    offering = asyncio.ensure_future(leg.offer())
    for _ in range(2):
        await peer.hears("INVITE")
        ua.wire.cut(ua.wire.flows()[0])
    with pytest.raises(TransportFailed):
        await offering
    assert not leg.ended.done()


async def test_connecting_for_a_request_is_retried_at_the_intervals_of_timer_e_for_64_t1(
    ua: UserAgent, peer: Peer
) -> None:
    leg, _ = await over_tls(ua, peer)
    attempts: list[float] = []
    connect = ua.network.connect

    async def noted(target: Target) -> MemoryStream | MemoryUdp:
        attempts.append(round(asyncio.get_running_loop().time() - start, 1))
        return await connect(target)

    ua.network.connect = noted  # type: ignore[method-assign]
    peer.network.listening.clear()
    ua.wire.cut(ua.wire.flows()[0])
    start = asyncio.get_running_loop().time()
    leg.end(EndReason.COMPLETED)
    await asyncio.sleep(40)
    assert attempts == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    await ua.assert_clean()


async def test_a_pending_reinvite_is_sent_once_the_peer_accepts_connections_again(
    ua: UserAgent, peer: Peer
) -> None:
    leg, _ = await over_tls(ua, peer)
    listening = set(peer.network.listening)
    peer.network.listening.clear()
    ua.wire.cut(ua.wire.flows()[0])
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(5)
    peer.network.listening.update(listening)
    peer.answers(await peer.hears("INVITE"), 200)
    await offering
    assert not leg.ended.done()


async def test_a_reinvite_waiting_for_a_connection_stops_when_the_leg_ends(ua: UserAgent, peer: Peer) -> None:
    leg, _ = await over_tls(ua, peer)
    listening = set(peer.network.listening)
    peer.network.listening.clear()
    ua.wire.cut(ua.wire.flows()[0])
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(5)
    leg.end(EndReason.COMPLETED)
    with pytest.raises((LegEnded, TransportFailed)):
        await offering
    peer.network.listening.update(listening)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert peer.count("INVITE") == 1  # only the initial one


async def test_a_request_on_a_new_connection_uses_the_tls_profile_of_the_first(
    ua: UserAgent, peer: Peer
) -> None:
    leg = ua.leg()
    uri = "sip:p@192.0.2.7:5061;transport=tls"
    calling = asyncio.ensure_future(leg.invite(Outgoing(uri, "<sip:us@x>", profile="trunk one")))
    peer.answers(await peer.hears("INVITE"), 200, contact="<sip:p@192.0.2.7:5061>")
    await calling
    ua.wire.cut(ua.wire.flows()[0])
    leg.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    assert {target.profile for target in ua.network._made} == {"trunk one"}


async def test_a_reinvite_on_a_lost_connection_is_not_repeated_after_the_leg_ended(
    ua: UserAgent, peer: Peer
) -> None:
    leg, _ = await over_tls(ua, peer)
    offering = asyncio.ensure_future(leg.offer())
    await peer.hears("INVITE")
    ua.wire.cut(ua.wire.flows()[0])
    await asyncio.sleep(0.001)
    leg.end(EndReason.COMPLETED)
    with pytest.raises(LegEnded):
        await offering
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert peer.count("INVITE") == 2


async def test_a_retransmitted_2xx_after_a_lost_connection_is_acknowledged_on_a_new_one(
    ua: UserAgent, peer: Peer
) -> None:
    leg, invite = await over_tls(ua, peer)
    flow = ua.wire.flows()[0]
    ua.wire.cut(flow)
    await peer.says(messages.ok(invite, contact=CONTACT))
    assert (await peer.hears("ACK")).uri == "sip:p@192.0.2.7:5061"
    assert not leg.ended.done()


async def test_a_2xx_to_a_reinvite_after_our_bye_is_still_acknowledged_rfc5407_3_2_3(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await ua.peer.hears("INVITE")
    leg.end(EndReason.COMPLETED)
    with pytest.raises(LegEnded):
        await offering
    ua.peer.answers(reinvite, 200)
    await ua.peer.hears("ACK")
    ua.peer.answers(ua.peer.all("BYE")[0], 200)
    await ua.assert_clean()


async def test_a_reinvite_without_final_response_is_cancelled_when_the_leg_ends(ua: UserAgent) -> None:
    leg, invite = await ua.connected_leg()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await ua.peer.hears("INVITE")
    ua.peer.answers(reinvite, 100, to_tag=None)
    await asyncio.sleep(100)
    await ua.peer.says(from_callee(invite, "BYE"))
    with pytest.raises(LegEnded):
        await offering
    ua.peer.answers(await ua.peer.hears("CANCEL"), 481)
    await ua.assert_clean()


async def test_a_rejected_reinvite_raises_and_leaves_the_leg_up(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg()
    offering = asyncio.ensure_future(leg.offer())
    ua.peer.answers(await ua.peer.hears("INVITE"), 403)
    with pytest.raises(Rejected):
        await offering
    assert not leg.ended.done()


async def test_requests_of_a_dialog_are_sent_in_cseq_order_rfc3261_12_2_1_1(
    ua: UserAgent,
) -> None:
    """A request overtaken by another while its target was resolved takes a new CSeq number."""
    leg, invite = await ua.connected_leg(takes_refer=True)
    assert leg.dialog is not None
    leg.dialog.target = "sip:bob@pbx.example.com"
    pbx = Peer(ua.wire, "192.0.2.7", names=("pbx.example.com",))
    await pbx.start()
    await ua.peer.says(from_callee(invite, "REFER", 1, headers=[("Refer-To", "<tel:+14155550100>")]))
    refer = await leg.refer()
    refer.accept()  # its NOTIFY waits for the new target to be resolved
    leg.dialog.target = f"sip:bob@{PEER}:5060"
    leg.end(EndReason.COMPLETED)
    bye = await ua.peer.hears("BYE")
    ua.peer.answers(bye, 200)
    await ua.assert_clean()
    assert bye.cseq.number == 3
    assert pbx.heard == []  # no NOTIFY after the BYE (§15)


async def test_a_notify_pending_on_a_lost_connection_is_not_repeated_after_bye_rfc3261_15(
    ua: UserAgent,
) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    leg, invite = await ua.connected_leg(peer, uri="sip:bob@192.0.2.7:5061;transport=tls", takes_refer=True)
    await peer.says(from_callee(invite, "REFER", 1, headers=[("Refer-To", "<tel:+14155550100>")]))
    (await leg.refer()).accept()
    leg.end(EndReason.COMPLETED)
    for flow in ua.wire.flows():
        ua.wire.cut(flow)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert peer.count("NOTIFY") == 0


async def test_a_request_overtaken_by_another_takes_a_new_cseq_number_rfc3261_12_2_1_1(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    leg, invite = await ua.connected_leg(peer, uri="sip:bob@192.0.2.7:5061;transport=tls", takes_refer=True)
    await peer.says(from_callee(invite, "REFER", 1, headers=[("Refer-To", "<tel:+14155550100>")]))
    refer = await leg.refer()
    ua.wire.cut(next(flow for flow in ua.wire.flows() if flow.local[0] != peer.address))
    refer.accept()  # the NOTIFY, CSeq 2, waits for a connection
    await peer.says(
        from_callee(invite, "OPTIONS", 2)
    )  # over the peer's own connection, which the dialog uses from now on
    await peer.hears(200)
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await peer.hears("INVITE")
    peer.answers(reinvite, 200)
    await offering
    await asyncio.sleep(0.1)
    notify = peer.all("NOTIFY")[0]
    assert (reinvite.cseq.number, notify.cseq.number) == (3, 4)
    peer.answers(notify, 200)
    leg.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()
