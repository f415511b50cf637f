"""Our INVITE and its races (RFC 3261 §9.1, §13.2)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.digest import DigestClient
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow, TransportFailed
from proxy.ua.errors import LegEnded, OfferRefused, Rejected, TransactionTimeout
from proxy.ua.outgoing_invite import Outgoing
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.kit.virtual_loop import stoppable
from tests.ua.house import FAR, Far, House, back, rings

CHALLENGE = 'Digest realm="trunk", nonce="n1", algorithm=MD5, qop="auth"'


async def test_an_invite_answered_is_acknowledged_and_its_answer_in_force(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 100, to_tag=None)
    house.far.answers(invite, 180)
    assert await rings(leg) == 180
    house.far.answers(invite, 200)
    await task
    ack = await house.far.hears("ACK")
    assert (ack.uri, ack.cseq.number, ack.to_tag) == (f"sip:bob@{FAR}:5060", 1, "bob1")
    assert ack.via.branch != invite.via.branch
    assert leg.media.told == [("offer", b""), ("answered", SDP)]


async def test_what_we_say_is_what_the_peer_reads(house: House) -> None:
    said: list[dict[str, str]] = []

    def note(way: str, flow: Flow, message: Request | Response) -> None:
        if way == ">":
            said.append(message.headers.first | {"content-length": str(len(message.body))})

    house.core.traces.append(note)
    await house.called()
    leg, task, invite = await house.calling()
    house.far.answers(invite, 200)
    await task
    leg.end(EndReason.COMPLETED)
    await house.far.hears("BYE")
    assert said == [heard.message.headers.first for heard in house.far.heard]
    assert len(said) >= 4


async def test_an_invite_nobody_answers_is_resent_and_given_up_rfc3261_17_1_1_2(house: House) -> None:
    began = house.now
    _, task, _ = await house.calling()
    with pytest.raises(TransactionTimeout):
        await task
    assert house.now - began == pytest.approx(32.0, abs=0.01)
    assert house.far.times("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    await house.assert_clean()


async def test_an_answer_that_came_while_we_were_stopped_came_in_time(house: House) -> None:
    leg, task, invite = await house.calling()
    stoppable().stop_for(40)
    house.far.answers(invite, 200)  # is read when the timers, long due, have had their turn
    await task
    assert house.far.times("INVITE") == [0]
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_refusal_is_acknowledged_and_raised(house: House) -> None:
    _, task, invite = await house.calling()
    house.far.answers(invite, 486, reason="Busy Here")
    with pytest.raises(Rejected, match="486 Busy Here"):
        await task
    assert (await house.far.hears("ACK")).via.branch == invite.via.branch
    await house.assert_clean()


async def test_cancel_waits_for_the_first_provisional_rfc3261_9_1(house: House) -> None:
    leg, task, invite = await house.calling()
    leg.end(EndReason.NO_ANSWER)
    with pytest.raises(LegEnded):
        await task
    await asyncio.sleep(5)
    assert house.far.count("CANCEL") == 0
    house.far.answers(invite, 100, to_tag=None)
    cancel = await house.far.hears("CANCEL")
    assert (cancel.via.branch, cancel.cseq.number, cancel.uri) == (invite.via.branch, 1, invite.uri)
    assert "cause=19" in str(cancel.headers.get("Reason"))
    house.far.answers(cancel, 200)
    house.far.answers(invite, 487)
    await house.far.hears("ACK")
    await house.assert_clean()
    assert house.far.count("CANCEL") == 1


async def test_cancel_is_sent_once_however_many_provisionals_come(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 180)
    await rings(leg)
    leg.end(EndReason.NO_ANSWER)
    leg.end(EndReason.COMPLETED)
    cancel = await house.far.hears("CANCEL")
    house.far.answers(cancel, 200)
    for status in (180, 180, 183):
        house.far.answers(invite, status)
    await asyncio.sleep(1)
    house.far.answers(invite, 487)
    with pytest.raises(LegEnded):
        await task
    await house.assert_clean()
    assert house.far.count("CANCEL") == 1


async def test_cancel_crossing_200_is_answered_by_ack_and_bye_rfc3261_9_1(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 180)
    await rings(leg)
    house.far.answers(invite, 200)
    leg.end(EndReason.CALLER_LEFT)
    cancel = await house.far.hears("CANCEL")
    house.far.answers(cancel, 200)
    await house.far.hears("ACK")
    bye = await house.far.hears("BYE")
    assert (bye.uri, bye.to_tag) == (f"sip:bob@{FAR}:5060", "bob1")
    house.far.answers(bye, 200)
    with pytest.raises(LegEnded):
        await task
    assert ("answered", SDP) not in leg.media.told
    await house.assert_clean()


async def test_200_to_an_invite_ended_before_any_provisional_gets_bye_and_no_cancel(house: House) -> None:
    leg, task, invite = await house.calling()
    leg.end(EndReason.CALLER_LEFT)
    house.far.answers(invite, 200)
    await house.far.hears("ACK")
    house.far.answers(await house.far.hears("BYE"), 200)
    assert house.far.count("CANCEL") == 0
    with pytest.raises(LegEnded):
        await task
    await house.assert_clean()


async def test_cancel_without_effect_gives_up_after_64_t1_rfc3261_9_1(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 180)
    await rings(leg)
    leg.end(EndReason.NO_ANSWER)
    house.far.answers(await house.far.hears("CANCEL"), 200)
    await asyncio.sleep(31.9)
    assert house.core.left_over()["client transactions"] == 1
    await asyncio.sleep(0.2)
    assert house.core.left_over()["client transactions"] == 0
    await asyncio.gather(task, return_exceptions=True)
    await house.assert_clean()


async def test_a_leg_ended_while_the_way_is_looked_for_sends_nothing(house: House) -> None:
    leg = house.leg("agent")
    far = Far(house.wire, "192.0.2.7", "tls")
    await far.start()
    task = asyncio.ensure_future(leg.invite(Outgoing("sip:a@192.0.2.7;transport=tls", "<sip:us@x>")))
    await asyncio.sleep(0.001)
    leg.end(EndReason.CALLER_LEFT)
    with pytest.raises(LegEnded):
        await task
    await house.assert_clean()
    assert far.heard == []
    with pytest.raises(LegEnded):
        await leg.invite(Outgoing("sip:a@192.0.2.7;transport=tls", "<sip:us@x>"))


async def test_an_address_that_cannot_be_reached_is_a_transport_failure(house: House) -> None:
    with pytest.raises(TransportFailed):
        await house.leg().invite(Outgoing("sip:a@192.0.2.99;transport=tcp", "<sip:us@x>"))
    with pytest.raises(TransportFailed):
        await house.leg().invite(Outgoing("sip:a@nowhere.example.com", "<sip:us@x>"))
    await house.assert_clean()


async def test_a_retransmitted_2xx_is_acknowledged_again_with_the_same_ack_rfc3261_13_2_2_4(
    house: House,
) -> None:
    leg, invite = await house.connected()
    for _ in range(3):
        house.far.answers(invite, 200)
        await house.far.hears("ACK")
    acks = house.far.all("ACK")
    assert len({ack.encode() for ack in acks}) == 1
    assert house.far.count("BYE") == 0
    assert leg.media.told.count(("answered", SDP)) == 1


async def test_a_forked_2xx_gets_its_ack_and_a_bye_rfc3261_13_2_2_4(house: House) -> None:
    leg, invite = await house.connected()
    house.far.answers(invite, 200, to_tag="fork2", contact=f"<sip:other@{FAR}:5060>")
    ack, bye = await house.far.hears("ACK"), await house.far.hears("BYE")
    assert (ack.to_tag, ack.uri) == ("fork2", f"sip:other@{FAR}:5060")
    assert (bye.to_tag, bye.uri, bye.cseq.number) == ("fork2", f"sip:other@{FAR}:5060", 2)
    house.far.answers(bye, 200)
    assert not leg.ended.done()
    leg.end(EndReason.COMPLETED)
    mine = await house.far.hears("BYE")
    assert mine.to_tag == "bob1"
    house.far.answers(mine, 200)
    await house.assert_clean()


async def test_a_fork_elsewhere_does_not_move_the_leg(house: House) -> None:
    other = Far(house.wire, "192.0.2.7")
    await other.start()
    leg, invite = await house.connected()
    house.far.answers(invite, 200, to_tag="fork2", contact="<sip:other@192.0.2.7:5060>")
    await other.hears("ACK")
    other.answers(await other.hears("BYE"), 200)
    assert leg.flow.remote[0] == FAR
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_the_ack_goes_where_the_contact_says_rfc3261_12_2_1_1(house: House) -> None:
    other = Far(house.wire, "192.0.2.7", names=("pbx.example.com",))
    await other.start()
    leg, task, invite = await house.calling()
    house.far.answers(invite, 200, contact="<sip:bob@pbx.example.com>")
    house.far.answers(invite, 200, contact="<sip:bob@pbx.example.com>")
    await task
    assert (await other.hears("ACK")).uri == "sip:bob@pbx.example.com"
    assert leg.flow.remote[0] == "192.0.2.7"
    leg.end(EndReason.COMPLETED)
    other.answers(await other.hears("BYE"), 200)
    await house.assert_clean()


async def test_an_ack_whose_way_cannot_be_found_goes_where_the_invite_went(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 200, contact="<sip:bob@nowhere.example.com>")
    await task
    await house.far.hears("ACK")
    leg.end(EndReason.COMPLETED)
    await house.assert_clean()


async def test_a_late_or_doubled_provisional_changes_nothing(house: House) -> None:
    leg, task, invite = await house.calling()
    for status in (180, 180, 183):
        house.far.answers(invite, status)
    assert await rings(leg) == 180
    house.far.answers(invite, 200)
    await task
    house.far.answers(invite, 180)
    await asyncio.sleep(1)
    assert not leg.ended.done()
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_an_answer_that_media_cannot_use_ends_the_leg(house: House) -> None:
    leg, task, invite = await house.calling()
    leg.media.refuses = 488
    house.far.answers(invite, 200)
    with pytest.raises(OfferRefused):
        await task
    await house.far.hears("ACK")
    house.far.answers(await house.far.hears("BYE"), 200)
    assert leg.ended.result() is EndReason.MEDIA_REFUSED
    await house.assert_clean()


async def test_a_2xx_with_a_contact_that_cannot_be_read_gets_ack_and_bye(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 200, contact="<sip:@@@>")
    with pytest.raises(OfferRefused, match="cannot be read"):
        await task
    await house.far.hears("ACK")
    house.far.answers(await house.far.hears("BYE"), 200)
    leg.end(EndReason.NO_ANSWER)
    await house.assert_clean()


async def test_a_2xx_with_a_to_that_cannot_be_read_is_dropped(house: House) -> None:
    _, task, invite = await house.calling()
    response = messages.ok(invite).encode().replace(b"To: <", b"To: <<<")
    await house.far.says(response)
    await asyncio.sleep(1)
    assert not task.done()
    house.far.answers(invite, 486)
    with pytest.raises(Rejected):
        await task
    await house.assert_clean()


async def test_the_bye_of_a_late_2xx_is_authenticated_too(house: House) -> None:
    leg, task, invite = await house.calling(credentials=DigestClient("u", "secret"))
    house.far.answers(invite, 180)
    await rings(leg)
    leg.end(EndReason.NO_ANSWER)
    house.far.answers(await house.far.hears("CANCEL"), 200)
    house.far.answers(invite, 200)
    bye = await house.far.hears("BYE")
    house.far.answers(bye, 407, headers=[("Proxy-Authenticate", CHALLENGE)])
    again = await house.far.hears("BYE")
    assert again.cseq.number == bye.cseq.number + 1
    assert "Proxy-Authorization" in again.headers
    house.far.answers(again, 200)
    await asyncio.gather(task, return_exceptions=True)
    await house.assert_clean()


async def test_a_connection_lost_while_ringing_fails_the_call(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tls")
    await far.start()
    leg, task, invite = await house.calling("sip:bob@192.0.2.7:5061;transport=tls", far)
    far.answers(invite, 180)
    await rings(leg)
    house.wire.cut(house.wire.flows()[0])
    with pytest.raises(TransportFailed):
        await task
    await house.assert_clean()


async def test_an_answer_and_a_limit_in_one_tick_leave_no_call_behind(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 200)
    await asyncio.sleep(0.0005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    leg.end(EndReason.NO_ANSWER)
    await house.far.hears("ACK")
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()
    assert house.far.count("CANCEL") == 0


async def test_a_bye_that_crosses_our_ack_ends_the_leg(house: House) -> None:
    leg, invite = await house.connected()
    await house.far.says(back(invite, "BYE"))
    await house.far.hears(200)
    assert leg.ended.result() is EndReason.HUNG_UP
    await house.assert_clean()
