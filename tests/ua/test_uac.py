"""The UAC side of an INVITE, and its races (RFC 3261 §9.1, §13.2)."""

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
from tests.ua.user_agent import PEER, Peer, UserAgent, from_callee, wait_for_ringing

CHALLENGE = 'Digest realm="trunk", nonce="n1", algorithm=MD5, qop="auth"'


async def test_a_2xx_to_our_invite_is_acknowledged_and_its_answer_applied(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 100, to_tag=None)
    ua.peer.answers(invite, 180)
    assert await wait_for_ringing(leg) == 180
    ua.peer.answers(invite, 200)
    await task
    ack = await ua.peer.hears("ACK")
    assert (ack.uri, ack.cseq.number, ack.to_tag) == (f"sip:bob@{PEER}:5060", 1, "bob1")
    assert ack.via.branch != invite.via.branch
    assert leg.media.calls == [("offer", b""), ("answered", SDP)]


async def test_every_message_that_we_send_parses_to_the_same_headers(ua: UserAgent) -> None:
    sent: list[dict[str, str]] = []

    def note(way: str, flow: Flow, message: Request | Response) -> None:
        if way == ">":
            sent.append(message.headers.first | {"content-length": str(len(message.body))})

    ua.core.traces.append(note)
    await ua.answered_leg()
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 200)
    await task
    leg.end(EndReason.COMPLETED)
    await ua.peer.hears("BYE")
    assert sent == [heard.message.headers.first for heard in ua.peer.heard]
    assert len(sent) >= 4


async def test_an_unanswered_invite_is_retransmitted_until_timer_b_rfc3261_17_1_1_2(ua: UserAgent) -> None:
    began = ua.now
    _, task, _ = await ua.start_call()
    with pytest.raises(TransactionTimeout):
        await task
    assert ua.now - began == pytest.approx(32.0, abs=0.01)
    assert ua.peer.times("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    await ua.assert_clean()


async def test_a_200_received_while_the_process_was_stopped_is_in_time(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    stoppable().stop_for(40)
    ua.peer.answers(invite, 200)  # is read only after the overdue timers have run
    await task
    assert ua.peer.times("INVITE") == [0]
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_non_2xx_is_acknowledged_and_raised(ua: UserAgent) -> None:
    _, task, invite = await ua.start_call()
    ua.peer.answers(invite, 486, reason="Busy Here")
    with pytest.raises(Rejected, match="486 Busy Here"):
        await task
    assert (await ua.peer.hears("ACK")).via.branch == invite.via.branch
    await ua.assert_clean()


async def test_cancel_waits_for_the_first_provisional_rfc3261_9_1(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    leg.end(EndReason.NO_ANSWER)
    with pytest.raises(LegEnded):
        await task
    await asyncio.sleep(5)
    assert ua.peer.count("CANCEL") == 0
    ua.peer.answers(invite, 100, to_tag=None)
    cancel = await ua.peer.hears("CANCEL")
    assert (cancel.via.branch, cancel.cseq.number, cancel.uri) == (invite.via.branch, 1, invite.uri)
    assert "cause=19" in str(cancel.headers.get("Reason"))
    ua.peer.answers(cancel, 200)
    ua.peer.answers(invite, 487)
    await ua.peer.hears("ACK")
    await ua.assert_clean()
    assert ua.peer.count("CANCEL") == 1


async def test_the_cancel_is_sent_once_despite_several_provisionals(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    leg.end(EndReason.NO_ANSWER)
    leg.end(EndReason.COMPLETED)
    cancel = await ua.peer.hears("CANCEL")
    ua.peer.answers(cancel, 200)
    for status in (180, 180, 183):
        ua.peer.answers(invite, status)
    await asyncio.sleep(1)
    ua.peer.answers(invite, 487)
    with pytest.raises(LegEnded):
        await task
    await ua.assert_clean()
    assert ua.peer.count("CANCEL") == 1


async def test_a_200_crossing_our_cancel_gets_ack_and_bye_rfc3261_9_1(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    ua.peer.answers(invite, 200)
    leg.end(EndReason.CALLER_LEFT)
    cancel = await ua.peer.hears("CANCEL")
    ua.peer.answers(cancel, 200)
    await ua.peer.hears("ACK")
    bye = await ua.peer.hears("BYE")
    assert (bye.uri, bye.to_tag) == (f"sip:bob@{PEER}:5060", "bob1")
    ua.peer.answers(bye, 200)
    with pytest.raises(LegEnded):
        await task
    assert ("answered", SDP) not in leg.media.calls
    await ua.assert_clean()


async def test_a_200_after_the_leg_ended_without_a_provisional_gets_ack_and_bye_but_no_cancel(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call()
    leg.end(EndReason.CALLER_LEFT)
    ua.peer.answers(invite, 200)
    await ua.peer.hears("ACK")
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    assert ua.peer.count("CANCEL") == 0
    with pytest.raises(LegEnded):
        await task
    await ua.assert_clean()


async def test_a_cancelled_invite_without_final_response_is_given_up_after_64_t1_rfc3261_9_1(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    leg.end(EndReason.NO_ANSWER)
    ua.peer.answers(await ua.peer.hears("CANCEL"), 200)
    await asyncio.sleep(31.9)
    assert ua.core.left_over()["client transactions"] == 1
    await asyncio.sleep(0.2)
    assert ua.core.left_over()["client transactions"] == 0
    await asyncio.gather(task, return_exceptions=True)
    await ua.assert_clean()


async def test_a_leg_ended_while_its_target_is_connected_sends_nothing(ua: UserAgent) -> None:
    leg = ua.leg("agent")
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    task = asyncio.ensure_future(leg.invite(Outgoing("sip:a@192.0.2.7;transport=tls", "<sip:us@x>")))
    await asyncio.sleep(0.001)
    leg.end(EndReason.CALLER_LEFT)
    with pytest.raises(LegEnded):
        await task
    await ua.assert_clean()
    assert peer.heard == []
    with pytest.raises(LegEnded):
        await leg.invite(Outgoing("sip:a@192.0.2.7;transport=tls", "<sip:us@x>"))


async def test_an_unreachable_or_unresolvable_target_raises_transport_failed(ua: UserAgent) -> None:
    with pytest.raises(TransportFailed):
        await ua.leg().invite(Outgoing("sip:a@192.0.2.99;transport=tcp", "<sip:us@x>"))
    with pytest.raises(TransportFailed):
        await ua.leg().invite(Outgoing("sip:a@nowhere.example.com", "<sip:us@x>"))
    await ua.assert_clean()


async def test_a_retransmitted_2xx_is_acknowledged_again_with_the_same_ack_rfc3261_13_2_2_4(
    ua: UserAgent,
) -> None:
    leg, invite = await ua.connected_leg()
    for _ in range(3):
        ua.peer.answers(invite, 200)
        await ua.peer.hears("ACK")
    acks = ua.peer.all("ACK")
    assert len({ack.encode() for ack in acks}) == 1
    assert ua.peer.count("BYE") == 0
    assert leg.media.calls.count(("answered", SDP)) == 1


async def test_a_2xx_of_another_fork_gets_ack_and_bye_rfc3261_13_2_2_4(ua: UserAgent) -> None:
    leg, invite = await ua.connected_leg()
    ua.peer.answers(invite, 200, to_tag="fork2", contact=f"<sip:other@{PEER}:5060>")
    ack, bye = await ua.peer.hears("ACK"), await ua.peer.hears("BYE")
    assert (ack.to_tag, ack.uri) == ("fork2", f"sip:other@{PEER}:5060")
    assert (bye.to_tag, bye.uri, bye.cseq.number) == ("fork2", f"sip:other@{PEER}:5060", 2)
    ua.peer.answers(bye, 200)
    assert not leg.ended.done()
    leg.end(EndReason.COMPLETED)
    bye_of_leg = await ua.peer.hears("BYE")
    assert bye_of_leg.to_tag == "bob1"
    ua.peer.answers(bye_of_leg, 200)
    await ua.assert_clean()


async def test_a_2xx_of_another_fork_at_another_address_does_not_move_the_leg(ua: UserAgent) -> None:
    other = Peer(ua.wire, "192.0.2.7")
    await other.start()
    leg, invite = await ua.connected_leg()
    ua.peer.answers(invite, 200, to_tag="fork2", contact="<sip:other@192.0.2.7:5060>")
    await other.hears("ACK")
    other.answers(await other.hears("BYE"), 200)
    assert leg.flow.remote[0] == PEER
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_the_ack_and_bye_go_to_the_contact_of_the_2xx_rfc3261_12_2_1_1(ua: UserAgent) -> None:
    other = Peer(ua.wire, "192.0.2.7", names=("pbx.example.com",))
    await other.start()
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 200, contact="<sip:bob@pbx.example.com>")
    ua.peer.answers(invite, 200, contact="<sip:bob@pbx.example.com>")
    await task
    assert (await other.hears("ACK")).uri == "sip:bob@pbx.example.com"
    assert leg.flow.remote[0] == "192.0.2.7"
    leg.end(EndReason.COMPLETED)
    other.answers(await other.hears("BYE"), 200)
    await ua.assert_clean()


async def test_the_ack_goes_on_the_flow_of_the_invite_if_the_contact_cannot_be_resolved(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 200, contact="<sip:bob@nowhere.example.com>")
    await task
    await ua.peer.hears("ACK")
    leg.end(EndReason.COMPLETED)
    await ua.assert_clean()


async def test_repeated_and_late_provisionals_change_nothing(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    for status in (180, 180, 183):
        ua.peer.answers(invite, status)
    assert await wait_for_ringing(leg) == 180
    ua.peer.answers(invite, 200)
    await task
    ua.peer.answers(invite, 180)
    await asyncio.sleep(1)
    assert not leg.ended.done()
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_an_unusable_answer_in_the_2xx_ends_the_leg_with_ack_and_bye(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    leg.media.refuses = 488
    ua.peer.answers(invite, 200)
    with pytest.raises(OfferRefused):
        await task
    await ua.peer.hears("ACK")
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    assert leg.ended.result() is EndReason.MEDIA_REFUSED
    await ua.assert_clean()


async def test_a_2xx_with_a_malformed_contact_gets_ack_and_bye(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 200, contact="<sip:@@@>")
    with pytest.raises(OfferRefused, match="cannot be read"):
        await task
    await ua.peer.hears("ACK")
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    leg.end(EndReason.NO_ANSWER)
    await ua.assert_clean()


async def test_a_2xx_with_a_malformed_to_is_dropped(ua: UserAgent) -> None:
    _, task, invite = await ua.start_call()
    response = messages.ok(invite).encode().replace(b"To: <", b"To: <<<")
    await ua.peer.says(response)
    await asyncio.sleep(1)
    assert not task.done()
    ua.peer.answers(invite, 486)
    with pytest.raises(Rejected):
        await task
    await ua.assert_clean()


async def test_a_challenged_bye_for_a_late_2xx_is_repeated_with_credentials(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call(credentials=DigestClient("u", "secret"))
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    leg.end(EndReason.NO_ANSWER)
    ua.peer.answers(await ua.peer.hears("CANCEL"), 200)
    ua.peer.answers(invite, 200)
    bye = await ua.peer.hears("BYE")
    ua.peer.answers(bye, 407, headers=[("Proxy-Authenticate", CHALLENGE)])
    again = await ua.peer.hears("BYE")
    assert again.cseq.number == bye.cseq.number + 1
    assert "Proxy-Authorization" in again.headers
    ua.peer.answers(again, 200)
    await asyncio.gather(task, return_exceptions=True)
    await ua.assert_clean()


async def test_a_connection_lost_after_a_180_fails_the_call(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    leg, task, invite = await ua.start_call("sip:bob@192.0.2.7:5061;transport=tls", peer)
    peer.answers(invite, 180)
    await wait_for_ringing(leg)
    ua.wire.cut(ua.wire.flows()[0])
    with pytest.raises(TransportFailed):
        await task
    await ua.assert_clean()


async def test_a_200_handled_as_its_task_is_cancelled_still_gets_ack_and_bye(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 200)
    await asyncio.sleep(0.0005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    leg.end(EndReason.NO_ANSWER)
    await ua.peer.hears("ACK")
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert ua.peer.count("CANCEL") == 0


async def test_a_bye_right_after_our_ack_ends_the_leg(ua: UserAgent) -> None:
    leg, invite = await ua.connected_leg()
    await ua.peer.says(from_callee(invite, "BYE"))
    await ua.peer.hears(200)
    assert leg.ended.result() is EndReason.HUNG_UP
    await ua.assert_clean()
