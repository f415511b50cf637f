"""Our requests within a dialog: authenticated, acknowledged, sent again on a new connection."""

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
from tests.ua.house import FAR, Far, House, back

PROXY = ("Proxy-Authenticate", 'Digest realm="trunk", nonce="n1", algorithm=MD5, qop="auth"')
SERVER = ("WWW-Authenticate", 'Digest realm="pbx", nonce="n2", algorithm=SHA-256')


CONTACT = "<sip:p@192.0.2.7:5061>"
INTERNAL = "<sip:gateway-7.internal.example.net:5060>"


def secret() -> DigestClient:
    return DigestClient("u", "secret")


@pytest.mark.parametrize(
    ("status", "asks", "answers"), [(407, PROXY, "Proxy-Authorization"), (401, SERVER, "Authorization")]
)
async def test_a_bye_that_is_challenged_is_sent_again_with_credentials_rfc3261_22_2(
    house: House, status: int, asks: tuple[str, str], answers: str
) -> None:
    leg, _ = await house.connected(credentials=secret())
    leg.end(EndReason.COMPLETED)
    bye = await house.far.hears("BYE")
    house.far.answers(bye, 100, to_tag=None)
    house.far.answers(bye, status, headers=[asks])
    again = await house.far.hears("BYE")
    assert (again.cseq.number, answers in again.headers) == (bye.cseq.number + 1, True)
    assert again.headers.get("Reason") == bye.headers.get("Reason")
    assert len(again.vias) == 1
    house.far.answers(again, 200)
    await house.assert_clean()


async def test_a_bye_whose_credentials_are_refused_ends_all_the_same(house: House) -> None:
    leg, _ = await house.connected(credentials=secret())
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 407, headers=[PROXY])
    house.far.answers(await house.far.hears("BYE"), 407, headers=[PROXY])
    await house.assert_clean()
    assert house.far.count("BYE") == 2


async def test_a_bye_challenged_without_credentials_ends_all_the_same(house: House) -> None:
    leg, _ = await house.connected()
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 407, headers=[PROXY])
    await house.assert_clean()


async def test_a_reinvite_that_is_challenged_is_sent_again(house: House) -> None:
    leg, _ = await house.connected(credentials=secret())
    offering = asyncio.ensure_future(leg.offer())
    first = await house.far.hears("INVITE")
    house.far.answers(first, 407, headers=[PROXY])
    again = await house.far.hears("INVITE")
    assert (again.cseq.number, again.body, again.to_tag) == (first.cseq.number + 1, first.body, "bob1")
    assert again.headers.get_all("Supported") == first.headers.get_all("Supported")
    house.far.answers(again, 200)
    await offering
    await asyncio.sleep(0.1)
    assert [ack.cseq.number for ack in house.far.all("ACK")] == [1, first.cseq.number, again.cseq.number]
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_challenge_to_a_reinvite_of_a_leg_that_is_over_is_left_alone(house: House) -> None:
    leg, _ = await house.connected(credentials=secret())
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await house.far.hears("INVITE")
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    house.far.answers(reinvite, 407, headers=[PROXY])
    with pytest.raises(LegEnded):
        await offering
    await house.assert_clean()
    assert house.far.count("INVITE") == 2


async def test_the_ack_for_a_reinvite_is_sent_again_and_follows_the_new_contact_rfc3261_12_2_1_2(
    house: House,
) -> None:
    leg, _ = await house.connected()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await house.far.hears("INVITE")
    for _ in range(2):
        house.far.answers(reinvite, 200, contact=f"<sip:moved@{FAR}:5060>")
    await offering
    first, second = await house.far.hears("ACK"), await house.far.hears("ACK")
    assert first.uri == f"sip:moved@{FAR}:5060"
    assert first.encode() == second.encode()
    leg.end(EndReason.COMPLETED)
    assert (await house.far.hears("BYE")).uri == f"sip:moved@{FAR}:5060"


async def test_a_contact_in_a_2xx_that_cannot_be_read_leaves_the_target(house: House) -> None:
    leg, _ = await house.connected()
    offering = asyncio.ensure_future(leg.offer())
    house.far.answers(await house.far.hears("INVITE"), 200, contact="<sip:@@@>")
    await offering
    assert (await house.far.hears("ACK")).uri == f"sip:bob@{FAR}:5060"


@pytest.mark.parametrize(
    "named", [{"contact": INTERNAL}, {"headers": [("Record-Route", f"<{INTERNAL[1:-1]};lr>")]}]
)
async def test_a_request_goes_where_the_dialog_lives_when_only_the_peer_can_resolve_its_way(
    house: House, named: dict[str, Any]
) -> None:
    leg, _ = await house.connected(ok=named)
    offering = asyncio.ensure_future(leg.offer())
    house.far.answers(await house.far.hears("INVITE"), 200)
    await offering
    await house.far.hears("ACK")
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_of_a_name_for_several_the_one_that_took_the_call_hears_all_of_it(
    house: House, transport: str
) -> None:
    """A cluster's other members know nothing of the dialog, whatever order DNS names them in by then."""
    names = ("pbx.example.com",)
    another, taker = (Far(house.wire, host, transport, names) for host in ("192.0.2.8", "192.0.2.7"))
    await another.start()
    await taker.start()
    port = 5061 if transport == "tls" else 5060
    uri = f"sip:p@192.0.2.7:{port};transport={transport}"
    leg, _ = await house.connected(taker, uri=uri, ok={"contact": f"<sip:p@pbx.example.com:{port}>"})
    if transport == "tls":
        house.wire.cut(leg.flow)
    leg.end(EndReason.COMPLETED)
    taker.answers(await taker.hears("BYE"), 200)
    await house.assert_clean()
    assert another.heard == []


async def behind_a_nat(house: House) -> tuple[Leg, Request, Far, Far]:
    """A leg to a phone whose Contact is a private address, and the phone in another network."""
    phone, elsewhere = Far(house.wire, "8.8.8.8"), Far(house.wire, "8.8.4.4")
    await phone.start()
    await elsewhere.start()
    ok = {"contact": "<sip:alice@10.0.0.7:5060>"}
    leg, invite = await house.connected(phone, uri="sip:alice@8.8.8.8:5060", ok=ok)
    return leg, invite, phone, elsewhere


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_a_peer_behind_a_nat_is_hung_up_on_where_it_has_moved_to_rfc3261_12_2_2(
    house: House, method: str
) -> None:
    """It says so by re-INVITE or UPDATE; its Contact is of no use to us."""
    leg, invite, phone, elsewhere = await behind_a_nat(house)
    anew = back(invite, method, body=messages.SDP)
    anew.headers.set("Contact", "<sip:alice@10.1.1.3:5060>")
    await elsewhere.says(anew)
    await elsewhere.hears(200)
    if method == "INVITE":
        await elsewhere.says(back(invite, "ACK", branch="z9hG4bKack"))
    leg.end(EndReason.COMPLETED)
    bye = await elsewhere.hears("BYE")
    assert (bye.uri, phone.count("BYE")) == ("sip:alice@10.1.1.3:5060", 0)
    elsewhere.answers(bye, 200)
    await house.assert_clean()


async def test_a_question_that_comes_from_elsewhere_moves_no_peer(house: House) -> None:
    leg, invite, phone, elsewhere = await behind_a_nat(house)
    await elsewhere.says(back(invite, "OPTIONS"))
    await elsewhere.hears(200)
    leg.end(EndReason.COMPLETED)
    phone.answers(await phone.hears("BYE"), 200)
    await house.assert_clean()


@pytest.fixture
async def far(house: House) -> Far:
    far = Far(house.wire, "192.0.2.7", "tls")
    await far.start()
    return far


async def over_tls(house: House, far: Far) -> tuple[Leg, Request]:
    """A leg of ours to a peer whose Contact names no transport."""
    ok = {"contact": CONTACT}
    return await house.connected(far, uri="sip:p@192.0.2.7:5061;transport=tls", ok=ok)


async def test_a_request_under_way_on_a_lost_connection_is_sent_again_on_a_new_one(
    house: House, far: Far
) -> None:
    leg, _ = await over_tls(house, far)
    leg.end(EndReason.COMPLETED)
    first = await far.hears("BYE")
    house.wire.cut(house.wire.flows()[0])
    again = await far.hears("BYE")
    assert again.cseq.number == first.cseq.number + 1
    assert len(again.vias) == 1
    far.answers(again, 200)
    await house.assert_clean()


async def test_a_request_that_loses_two_connections_has_failed(house: House, far: Far) -> None:
    leg, _ = await over_tls(house, far)
    offering = asyncio.ensure_future(leg.offer())
    for _ in range(2):
        await far.hears("INVITE")
        house.wire.cut(house.wire.flows()[0])
    with pytest.raises(TransportFailed):
        await offering
    assert not leg.ended.done()


async def test_a_request_waits_for_a_peer_that_is_away_for_as_long_as_a_datagram_would(
    house: House, far: Far
) -> None:
    leg, _ = await over_tls(house, far)
    attempts: list[float] = []
    connect = house.network.connect

    async def noted(target: Target) -> MemoryStream | MemoryUdp:
        attempts.append(round(asyncio.get_running_loop().time() - start, 1))
        return await connect(target)

    house.network.connect = noted  # type: ignore[method-assign]
    far.network.listening.clear()
    house.wire.cut(house.wire.flows()[0])
    start = asyncio.get_running_loop().time()
    leg.end(EndReason.COMPLETED)
    await asyncio.sleep(40)
    assert attempts == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    await house.assert_clean()


async def test_a_peer_that_comes_back_hears_what_it_missed(house: House, far: Far) -> None:
    leg, _ = await over_tls(house, far)
    listening = set(far.network.listening)
    far.network.listening.clear()
    house.wire.cut(house.wire.flows()[0])
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(5)
    far.network.listening.update(listening)
    far.answers(await far.hears("INVITE"), 200)
    await offering
    assert not leg.ended.done()


async def test_a_reinvite_that_waits_for_its_peer_stops_when_the_leg_ends(house: House, far: Far) -> None:
    leg, _ = await over_tls(house, far)
    listening = set(far.network.listening)
    far.network.listening.clear()
    house.wire.cut(house.wire.flows()[0])
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(5)
    leg.end(EndReason.COMPLETED)
    with pytest.raises((LegEnded, TransportFailed)):
        await offering
    far.network.listening.update(listening)
    far.answers(await far.hears("BYE"), 200)
    await house.assert_clean()
    assert far.count("INVITE") == 1  # the first, before


async def test_a_request_goes_to_the_same_peer_on_the_same_terms_when_its_connection_is_made_anew(
    house: House, far: Far
) -> None:
    leg = house.leg()
    uri = "sip:p@192.0.2.7:5061;transport=tls"
    calling = asyncio.ensure_future(leg.invite(Outgoing(uri, "<sip:us@x>", profile="trunk one")))
    far.answers(await far.hears("INVITE"), 200, contact="<sip:p@192.0.2.7:5061>")
    await calling
    house.wire.cut(house.wire.flows()[0])
    leg.end(EndReason.COMPLETED)
    far.answers(await far.hears("BYE"), 200)
    assert {target.profile for target in house.network._made} == {"trunk one"}


async def test_a_reinvite_of_a_leg_that_ended_meanwhile_is_not_sent_again(house: House, far: Far) -> None:
    leg, _ = await over_tls(house, far)
    offering = asyncio.ensure_future(leg.offer())
    await far.hears("INVITE")
    house.wire.cut(house.wire.flows()[0])
    await asyncio.sleep(0.001)
    leg.end(EndReason.COMPLETED)
    with pytest.raises(LegEnded):
        await offering
    far.answers(await far.hears("BYE"), 200)
    await house.assert_clean()
    assert far.count("INVITE") == 2


async def test_an_ack_is_sent_again_on_a_new_connection(house: House, far: Far) -> None:
    leg, invite = await over_tls(house, far)
    flow = house.wire.flows()[0]
    house.wire.cut(flow)
    await far.says(messages.ok(invite, contact=CONTACT))
    assert (await far.hears("ACK")).uri == "sip:p@192.0.2.7:5061"
    assert not leg.ended.done()


async def test_a_reinvite_answered_after_our_bye_is_still_acknowledged_rfc5407_3_2_3(house: House) -> None:
    leg, _ = await house.connected()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await house.far.hears("INVITE")
    leg.end(EndReason.COMPLETED)
    with pytest.raises(LegEnded):
        await offering
    house.far.answers(reinvite, 200)
    await house.far.hears("ACK")
    house.far.answers(house.far.all("BYE")[0], 200)
    await house.assert_clean()


async def test_a_reinvite_the_peer_never_finishes_is_cancelled_when_the_leg_is_over(house: House) -> None:
    leg, invite = await house.connected()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await house.far.hears("INVITE")
    house.far.answers(reinvite, 100, to_tag=None)
    await asyncio.sleep(100)
    await house.far.says(back(invite, "BYE"))
    with pytest.raises(LegEnded):
        await offering
    house.far.answers(await house.far.hears("CANCEL"), 481)
    await house.assert_clean()


async def test_a_rejected_final_is_raised(house: House) -> None:
    leg, _ = await house.connected()
    offering = asyncio.ensure_future(leg.offer())
    house.far.answers(await house.far.hears("INVITE"), 403)
    with pytest.raises(Rejected):
        await offering
    assert not leg.ended.done()


async def test_requests_of_one_dialog_leave_in_the_order_of_their_numbers_rfc3261_12_2_1_1(
    house: House,
) -> None:
    """One that had to look for its way is overtaken: it takes a new number."""
    leg, invite = await house.connected(takes_refer=True)
    assert leg.dialog is not None
    leg.dialog.target = "sip:bob@pbx.example.com"
    pbx = Far(house.wire, "192.0.2.7", names=("pbx.example.com",))
    await pbx.start()
    await house.far.says(back(invite, "REFER", 1, headers=[("Refer-To", "<tel:+14155550100>")]))
    refer = await leg.refer()
    refer.accept()  # its NOTIFY looks for the way to the new target
    leg.dialog.target = f"sip:bob@{FAR}:5060"
    leg.end(EndReason.COMPLETED)
    bye = await house.far.hears("BYE")
    house.far.answers(bye, 200)
    await house.assert_clean()
    assert bye.cseq.number == 3
    assert pbx.heard == []  # after the BYE there is no news any more (§15)


async def test_a_notify_whose_connection_is_lost_is_not_tried_again_after_bye_rfc3261_15(
    house: House,
) -> None:
    far = Far(house.wire, "192.0.2.7", "tls")
    await far.start()
    leg, invite = await house.connected(far, uri="sip:bob@192.0.2.7:5061;transport=tls", takes_refer=True)
    await far.says(back(invite, "REFER", 1, headers=[("Refer-To", "<tel:+14155550100>")]))
    (await leg.refer()).accept()
    leg.end(EndReason.COMPLETED)
    for flow in house.wire.flows():
        house.wire.cut(flow)
    far.answers(await far.hears("BYE"), 200)
    await house.assert_clean()
    assert far.count("NOTIFY") == 0


async def test_a_request_that_is_overtaken_takes_a_new_number_rfc3261_12_2_1_1(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tls")
    await far.start()
    leg, invite = await house.connected(far, uri="sip:bob@192.0.2.7:5061;transport=tls", takes_refer=True)
    await far.says(back(invite, "REFER", 1, headers=[("Refer-To", "<tel:+14155550100>")]))
    refer = await leg.refer()
    house.wire.cut(next(flow for flow in house.wire.flows() if flow.local[0] != far.address))
    refer.accept()  # the NOTIFY, number 2, waits for a connection
    await far.says(back(invite, "OPTIONS", 2))  # on the peer's own, which the dialog lives on from now
    await far.hears(200)
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await far.hears("INVITE")
    far.answers(reinvite, 200)
    await offering
    await asyncio.sleep(0.1)
    notify = far.all("NOTIFY")[0]
    assert (reinvite.cseq.number, notify.cseq.number) == (3, 4)
    far.answers(notify, 200)
    leg.end(EndReason.COMPLETED)
    far.answers(await far.hears("BYE"), 200)
    await house.assert_clean()
