"""Failover of an INVITE across the resolved targets of a URI (RFC 3263 §4.3)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.digest import DigestClient
from proxy.transport.flow import Target, TransportFailed
from proxy.ua.errors import LegEnded, Rejected, TransactionTimeout
from proxy.ua.leg import Leg
from proxy.ua.outgoing_invite import Outgoing
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.virtual_loop import stoppable
from tests.ua.user_agent import HOST, Peer, UserAgent, wait_for_ringing

NAME = "pbx.example.com"
URI = f"sip:bob@{NAME}"


async def two_targets(ua: UserAgent, transport: str = "udp") -> tuple[Peer, Peer]:
    """Two peers to which `NAME` resolves, in this order."""
    peers = tuple(Peer(ua.wire, f"192.0.2.{end}", transport, names=(NAME,)) for end in (11, 12))
    for peer in peers:
        await peer.start()
    return peers[0], peers[1]


def call(ua: UserAgent, uri: str = URI, **options: object) -> tuple[Leg, asyncio.Task[None]]:
    leg = ua.leg("phone")
    outgoing = Outgoing(uri, f"<sip:us@{HOST}>", **options)  # type: ignore[arg-type]
    return leg, asyncio.ensure_future(leg.invite(outgoing))


async def test_after_an_unreachable_target_the_last_one_keeps_its_full_time_to_respond(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    ua.wire.unreachable.add(one.address)
    leg, task = call(ua)
    invite = await second_peer.hears("INVITE")
    await asyncio.sleep(6)
    assert not task.done()
    second_peer.answers(invite, 200)
    await task
    leg.end(EndReason.COMPLETED)
    second_peer.answers(await second_peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_target_silent_for_four_seconds_is_abandoned_for_the_next_rfc3263_4_3(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    leg, task = call(ua)
    first = await one.hears("INVITE")
    second = await second_peer.hears("INVITE")
    assert second_peer.heard[0].at - one.heard[0].at == pytest.approx(4.0, abs=0.01)
    assert second.via.branch != first.via.branch
    assert (second.call_id, second.cseq, second.from_tag) == (first.call_id, first.cseq, first.from_tag)
    assert second.body == first.body
    second_peer.answers(second, 200)
    await task
    assert leg.flow.remote[0] == second_peer.address
    leg.end(EndReason.COMPLETED)
    second_peer.answers(await second_peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert one.times("INVITE") == [0, 0.5, 1.5, 3.5]  # and no retransmissions after that
    assert one.count("CANCEL") == 0  # §9.1: it has sent no provisional response


async def test_a_late_180_of_an_abandoned_target_is_cancelled_rfc3261_9_1(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    leg, task = call(ua)
    first = await one.hears("INVITE")
    second_peer.answers(await second_peer.hears("INVITE"), 180)
    one.answers(first, 180)
    cancel = await one.hears("CANCEL")
    assert cancel.via.branch == first.via.branch
    one.answers(cancel, 200)
    one.answers(first, 487)
    await one.hears("ACK")
    assert not task.done()
    second_peer.answers(second_peer.all("INVITE")[0], 200)
    await task
    leg.end(EndReason.COMPLETED)
    second_peer.answers(await second_peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_an_abandoned_target_is_cancelled_once_even_if_the_leg_ends_meanwhile_rfc3261_9_1(
    ua: UserAgent,
) -> None:
    one, second_peer = await two_targets(ua, "tcp")
    leg, task = call(ua, f"{URI};transport=tcp")
    first = await one.hears("INVITE")
    ua.wire.silence(second_peer.address)  # the connection attempt to it hangs
    await asyncio.sleep(4.5)
    one.answers(first, 180)
    one.answers(await one.hears("CANCEL"), 200)
    leg.end(EndReason.CALLER_LEFT)
    await asyncio.sleep(1)
    assert one.count("CANCEL") == 1
    one.answers(first, 487)
    await one.hears("ACK")
    with pytest.raises(LegEnded):
        await task
    await ua.assert_clean()


async def test_a_late_200_of_an_abandoned_target_gets_ack_and_bye_rfc3261_13_2_2_4(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    leg, task = call(ua)
    first = await one.hears("INVITE")
    second_peer.answers(await second_peer.hears("INVITE"), 200)
    await task
    for _ in range(2):
        one.answers(first, 200)
        assert (await one.hears("ACK")).cseq.number == 1
    bye = await one.hears("BYE")
    one.answers(bye, 200)
    await one.hears_nothing(40)
    assert not leg.ended.done()
    assert second_peer.count("BYE") == 0
    leg.end(EndReason.COMPLETED)
    second_peer.answers(await second_peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_late_200_with_a_malformed_contact_still_gets_ack_and_bye(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    leg, task = call(ua)
    first = await one.hears("INVITE")
    second_peer.answers(await second_peer.hears("INVITE"), 200)
    await task
    one.answers(first, 200, contact="<sip:[bad>")
    await one.hears("ACK")
    one.answers(await one.hears("BYE"), 200)
    leg.end(EndReason.COMPLETED)
    second_peer.answers(await second_peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_200_received_while_the_process_was_stopped_prevents_failover(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    leg, task = call(ua)
    invite = await one.hears("INVITE")
    stoppable().stop_for(20)
    one.answers(invite, 200)  # is read only after the overdue timers have run
    await task
    await asyncio.sleep(10)
    assert second_peer.heard == []
    leg.end(EndReason.COMPLETED)
    one.answers(await one.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_100_prevents_failover(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    leg, task = call(ua)
    invite = await one.hears("INVITE")
    one.answers(invite, 100, to_tag=None)
    await asyncio.sleep(30)
    assert second_peer.heard == []
    one.answers(invite, 200)
    await task
    leg.end(EndReason.COMPLETED)
    one.answers(await one.hears("BYE"), 200)
    await ua.assert_clean()


async def test_the_last_target_is_tried_until_timer_b(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    began = ua.now
    _, task = call(ua)
    with pytest.raises(TransactionTimeout):
        await task
    assert ua.now - began == pytest.approx(36.0, abs=0.01)
    assert (one.count("INVITE"), second_peer.count("INVITE")) == (4, 7)
    await ua.assert_clean()


async def test_a_503_fails_over_to_the_next_target_rfc3263_4_3(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    leg, task = call(ua)
    one.answers(await one.hears("INVITE"), 503)
    await one.hears("ACK")
    second_peer.answers(await second_peer.hears("INVITE"), 200)
    await task
    assert second_peer.heard[0].at - one.heard[0].at < 0.1
    leg.end(EndReason.COMPLETED)
    second_peer.answers(await second_peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_503_of_the_last_target_is_raised(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    _, task = call(ua)
    one.answers(await one.hears("INVITE"), 503)
    second_peer.answers(await second_peer.hears("INVITE"), 503)
    with pytest.raises(Rejected, match="503"):
        await task
    await ua.assert_clean()


@pytest.mark.parametrize("status", [404, 408, 480, 486, 500, 504, 603])
async def test_a_non_2xx_other_than_503_does_not_fail_over_rfc3263_4_3(ua: UserAgent, status: int) -> None:
    one, second_peer = await two_targets(ua)
    _, task = call(ua)
    one.answers(await one.hears("INVITE"), status)
    with pytest.raises(Rejected, match=str(status)):
        await task
    await ua.assert_clean()
    assert second_peer.heard == []


async def test_a_503_after_a_180_does_not_fail_over(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    leg, task = call(ua)
    invite = await one.hears("INVITE")
    one.answers(invite, 180)
    await wait_for_ringing(leg)
    one.answers(invite, 503)
    with pytest.raises(Rejected, match="503"):
        await task
    await ua.assert_clean()
    assert second_peer.heard == []


async def test_a_refused_connection_fails_over_to_the_next_target(ua: UserAgent) -> None:
    dead = Peer(ua.wire, "192.0.2.11", "tls", names=(NAME,))
    alive = Peer(ua.wire, "192.0.2.12", "tls", names=(NAME,))
    await alive.start()
    leg, task = call(ua, f"{URI};transport=tls")
    alive.answers(await alive.hears("INVITE"), 200)
    await task
    leg.end(EndReason.COMPLETED)
    alive.answers(await alive.hears("BYE"), 200)
    await ua.assert_clean()
    assert dead.heard == []


async def test_a_connection_lost_before_any_response_fails_over_to_the_next_target(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua, "tcp")
    leg, task = call(ua, f"{URI};transport=tcp")
    await one.hears("INVITE")
    ua.wire.cut(next(flow for flow in ua.wire.flows() if flow.remote[0] == one.address))
    second_peer.answers(await second_peer.hears("INVITE"), 200)
    await task
    leg.end(EndReason.COMPLETED)
    second_peer.answers(await second_peer.hears("BYE"), 200)
    await ua.assert_clean()


async def called_before(ua: UserAgent, transport: str = "tls") -> Peer:
    """A peer with an open connection left from an earlier call to it."""
    peer = Peer(ua.wire, "192.0.2.11", transport, names=(NAME,))
    await peer.start()
    _, task = call(ua, f"{URI};transport={transport}")
    peer.answers(await peer.hears("INVITE"), 486)
    with pytest.raises(Rejected):
        await task
    return peer


async def test_an_invite_on_a_reused_connection_that_breaks_is_repeated_on_a_new_one(ua: UserAgent) -> None:
    peer = await called_before(ua)
    leg, task = call(ua, f"{URI};transport=tls")
    first = await peer.hears("INVITE")
    ua.wire.cut(ua.wire.flows()[0])
    again = await peer.hears("INVITE")
    assert (again.call_id, again.cseq, again.from_tag) == (first.call_id, first.cseq, first.from_tag)
    assert again.via.branch != first.via.branch
    peer.answers(again, 200)
    await task
    leg.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_an_invite_is_repeated_on_a_new_connection_only_once(ua: UserAgent) -> None:
    peer = await called_before(ua)
    _, task = call(ua, f"{URI};transport=tls")
    for _ in range(2):
        await peer.hears("INVITE")
        ua.wire.cut(next(flow for flow in ua.wire.flows() if not flow.closed))
    with pytest.raises(TransportFailed):
        await task
    assert peer.count("INVITE") == 3
    await ua.assert_clean()


async def test_an_invite_is_not_repeated_if_its_connection_breaks_after_a_100(ua: UserAgent) -> None:
    peer = await called_before(ua)
    _, task = call(ua, f"{URI};transport=tls")
    peer.answers(await peer.hears("INVITE"), 100)
    await asyncio.sleep(0.1)
    ua.wire.cut(ua.wire.flows()[0])
    with pytest.raises(TransportFailed):
        await task
    assert peer.count("INVITE") == 2
    await ua.assert_clean()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_a_reused_connection_without_any_response_is_closed_when_the_call_is_given_up(
    ua: UserAgent, transport: str
) -> None:
    """For instance, the far end hangs, or waits for the rest of a message with a wrong Content-Length."""
    peer = await called_before(ua, transport)
    stuck = ua.wire.flows()[0]
    leg, task = call(ua, f"{URI};transport={transport}")
    await peer.hears("INVITE")
    await asyncio.sleep(8)
    leg.end(EndReason.NO_ANSWER)
    with pytest.raises(LegEnded):
        await task
    assert stuck.closed
    leg, task = call(ua, f"{URI};transport={transport}")
    peer.answers(await peer.hears("INVITE"), 200)
    await task
    assert leg.flow is not stuck
    leg.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_closing_a_stuck_connection_repeats_other_pending_invites_on_a_new_one(ua: UserAgent) -> None:
    peer = await called_before(ua)
    first, given_up = call(ua, f"{URI};transport=tls")
    await peer.hears("INVITE")
    await asyncio.sleep(5)
    second, task = call(ua, f"{URI};transport=tls")
    await peer.hears("INVITE")
    await asyncio.sleep(3)
    first.end(EndReason.NO_ANSWER)
    with pytest.raises(LegEnded):
        await given_up
    peer.answers(await peer.hears("INVITE"), 200)
    await task
    second.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_leg_ended_by_the_caller_leaves_a_stuck_connection_open_until_timer_b(ua: UserAgent) -> None:
    peer = await called_before(ua)
    stuck = ua.wire.flows()[0]
    leg, task = call(ua, f"{URI};transport=tls")
    await peer.hears("INVITE")
    await asyncio.sleep(6)
    leg.end(EndReason.COMPLETED)
    with pytest.raises(LegEnded):
        await task
    await asyncio.sleep(25)
    assert not stuck.closed
    await asyncio.sleep(2)
    assert stuck.closed
    await ua.assert_clean()


@pytest.mark.parametrize(("method", "given_up"), [("REGISTER", True), ("OPTIONS", False)])
async def test_an_unanswered_register_closes_a_reused_connection_but_an_options_does_not(
    ua: UserAgent, method: str, given_up: bool
) -> None:
    await called_before(ua)
    flow = await ua.network.connect(Target("tls", ("192.0.2.11", 5061), NAME))
    assert flow is ua.wire.flows()[0]
    ua.core.launch(messages.request(method), flow, IgnoringUser())
    await asyncio.sleep(33)
    assert flow.closed is given_up
    await ua.assert_clean()


class IgnoringUser:
    """A transaction user that ignores everything."""

    def received(self, message: object) -> None: ...
    def failed(self, error: object) -> None: ...


async def test_a_connection_that_brought_a_100_is_not_closed(ua: UserAgent) -> None:
    peer = await called_before(ua)
    flow = ua.wire.flows()[0]
    leg, task = call(ua, f"{URI};transport=tls")
    invite = await peer.hears("INVITE")
    await asyncio.sleep(5)
    peer.answers(invite, 100)
    await asyncio.sleep(3)
    leg.end(EndReason.NO_ANSWER)
    with pytest.raises(LegEnded):
        await task
    assert not flow.closed
    peer.answers(invite, 487)
    peer.answers(await peer.hears("CANCEL"), 200)
    await ua.assert_clean()


async def test_a_call_given_up_after_three_seconds_does_not_close_its_connection(ua: UserAgent) -> None:
    peer = await called_before(ua)
    flow = ua.wire.flows()[0]
    leg, task = call(ua, f"{URI};transport=tls")
    invite = await peer.hears("INVITE")
    await asyncio.sleep(3)
    leg.end(EndReason.NO_ANSWER)
    with pytest.raises(LegEnded):
        await task
    assert not flow.closed
    peer.answers(invite, 487)
    await ua.assert_clean()


async def test_when_all_targets_fail_the_last_failure_is_raised(ua: UserAgent) -> None:
    for end in (11, 12):
        Peer(ua.wire, f"192.0.2.{end}", "tcp", names=(NAME,))
    _, task = call(ua, f"{URI};transport=tcp")
    with pytest.raises(TransportFailed, match=r"192\.0\.2\.12.*refused"):
        await task
    await ua.assert_clean()


async def test_a_leg_ended_between_two_targets_sends_nothing_more(ua: UserAgent) -> None:
    one = (await two_targets(ua, "tcp"))[0]
    ua.wire.silence("192.0.2.12")
    leg, task = call(ua, f"{URI};transport=tcp")
    one.answers(await one.hears("INVITE"), 503)
    await asyncio.sleep(1)  # the connection to the second target is being opened
    leg.end(EndReason.CALLER_LEFT)
    with pytest.raises(LegEnded):
        await task
    ua.wire.silence("192.0.2.12", silent=False)
    await ua.assert_clean()
    assert one.count("CANCEL") == 0


async def test_a_leg_ended_while_a_target_is_silent_tries_no_other_target(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    leg, task = call(ua)
    invite = await one.hears("INVITE")
    await asyncio.sleep(2)
    leg.end(EndReason.CALLER_LEFT)
    with pytest.raises(LegEnded):
        await task
    await asyncio.sleep(5)
    one.answers(invite, 180)
    cancel = await one.hears("CANCEL")
    one.answers(cancel, 200)
    one.answers(invite, 487)
    await ua.assert_clean()
    assert second_peer.heard == []


async def test_a_failed_target_is_tried_last_for_thirty_seconds(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    for _ in range(2):
        leg, task = call(ua)
        second_peer.answers(await second_peer.hears("INVITE"), 200)
        await task
        leg.end(EndReason.COMPLETED)
        second_peer.answers(await second_peer.hears("BYE"), 200)
    assert one.count("INVITE") == 4  # all from the first call
    await asyncio.sleep(30)
    leg, task = call(ua)
    await asyncio.sleep(0.1)
    assert one.count("INVITE") == 5
    one.answers(one.all("INVITE")[-1], 486)
    with pytest.raises(Rejected, match="486"):
        await task
    await ua.assert_clean()


async def test_a_target_that_sent_503_is_skipped_until_its_retry_after_rfc3261_21_5_4(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    for _ in range(2):
        _, task = call(ua)
        if one.count("INVITE") == 0:
            one.answers(await one.hears("INVITE"), 503, headers=[("Retry-After", "120")])
        second_peer.answers(await second_peer.hears("INVITE"), 486)
        with pytest.raises(Rejected, match="486"):
            await task
        await asyncio.sleep(60)
    assert one.count("INVITE") == 1
    second_peer.network.listening.clear()
    await asyncio.sleep(60)
    _, task = call(ua)
    one.answers((await one.hears("INVITE")), 486)
    with pytest.raises(Rejected, match="486"):
        await task
    await ua.assert_clean()


async def test_a_target_that_answers_100_then_503_is_backed_off_for_longer_each_time(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    tried = []
    for _ in range(20):
        _, task = call(ua)
        await asyncio.sleep(0.01)
        if one.count("INVITE") > len(tried):
            tried.append(ua.now)
            invite = one.all("INVITE")[-1]
            one.answers(invite, 100, to_tag=None)
            one.answers(invite, 503)
        second_peer.answers(await second_peer.hears("INVITE"), 486)
        with pytest.raises(Rejected, match="486"):
            await task
        await asyncio.sleep(20)
    assert [round(later - tried[0], -1) for later in tried] == [0, 40, 100, 220]
    await ua.assert_clean()


async def test_if_every_target_sent_retry_after_no_invite_is_sent(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.11", names=(NAME,))
    await peer.start()
    _, task = call(ua)
    peer.answers(await peer.hears("INVITE"), 503, headers=[("Retry-After", "60 (maintenance);duration=9")])
    with pytest.raises(Rejected):
        await task
    _, task = call(ua)
    with pytest.raises(TransportFailed, match="left alone"):
        await task
    await ua.assert_clean()
    assert peer.count("INVITE") == 1


async def test_a_challenge_is_answered_to_the_target_that_sent_it(ua: UserAgent) -> None:
    one, second_peer = await two_targets(ua)
    _, task = call(ua, credentials=DigestClient("us", "secret"))
    one.answers(await one.hears("INVITE"), 503)
    invite = await second_peer.hears("INVITE")
    challenge = 'Digest realm="pbx", nonce="n1", algorithm=MD5, qop="auth"'
    second_peer.answers(invite, 401, headers=[("WWW-Authenticate", challenge)])
    again = await second_peer.hears("INVITE")
    assert "Authorization" in again.headers
    assert again.cseq.number == 2
    second_peer.answers(again, 486)
    with pytest.raises(Rejected, match="486"):
        await task
    await ua.assert_clean()


async def test_closing_the_core_ends_the_failover(ua: UserAgent) -> None:
    one = (await two_targets(ua))[0]
    _, task = call(ua)
    await one.hears("INVITE")
    await ua.core.close()
    with pytest.raises(TransportFailed):
        await task
