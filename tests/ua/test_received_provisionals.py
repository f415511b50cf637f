"""Received provisional responses: PRACKs for reliable ones, and early SDP answers (RFC 3262 §4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.sip.message import Request
from proxy.ua.errors import Rejected
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.received_provisionals import MAX_KEPT
from tests.kit.messages import SDP
from tests.ua.user_agent import PEER, UserAgent

OTHER = SDP.replace(b"4000", b"4002")


def send_reliable(ua: UserAgent, invite: Request, rseq: int | str, status: int = 180, **fields: Any) -> None:
    """Send a reliable provisional response from the peer."""
    ua.peer.answers(invite, status, headers=[("Require", "100rel"), ("RSeq", str(rseq))], **fields)


async def end_and_assert_clean(ua: UserAgent, leg: Leg) -> None:
    """End the leg, answer its BYE, and assert that nothing is left open."""
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_our_invite_neither_requires_nor_supports_100rel_rfc3262_4(ua: UserAgent) -> None:
    _, invite = await ua.connected_leg()
    assert "Require" not in invite.headers
    assert "100rel" not in (invite.headers.get("Supported") or "")
    assert "PRACK" in (invite.headers.get("Allow") or "")


async def test_an_unrequested_reliable_provisional_is_acknowledged_once_rfc3262_4(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    send_reliable(ua, invite, 5)
    prack = await ua.peer.hears("PRACK")
    assert (prack.headers.get("RAck"), prack.cseq.number, prack.body) == ("5 1 INVITE", 2, b"")
    assert (prack.uri, prack.to_tag) == (f"sip:bob@{PEER}:5060", "bob1")
    ua.peer.answers(prack, 200)
    send_reliable(ua, invite, 5)
    send_reliable(ua, invite, 7)
    await asyncio.sleep(1)
    assert ua.peer.count("PRACK") == 1
    send_reliable(ua, invite, 6, 183)
    again = await ua.peer.hears("PRACK")
    assert (again.headers.get("RAck"), again.cseq.number) == ("6 1 INVITE", 3)
    ua.peer.answers(again, 200)
    ua.peer.answers(invite, 200)
    await task
    leg.end(EndReason.COMPLETED)
    bye = await ua.peer.hears("BYE")
    assert bye.cseq.number == 4  # §12.2.1.1: the CSeq continues from the early dialog
    ua.peer.answers(bye, 200)
    await ua.assert_clean()


async def test_reliable_provisionals_of_each_fork_get_a_prack_in_their_own_dialog_rfc3262_4(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call()
    for tag, rseq in (("bob1", 5), ("bob2", 9)):
        send_reliable(ua, invite, rseq, to_tag=tag)
        prack = await ua.peer.hears("PRACK")
        assert (prack.to_tag, prack.headers.get("RAck")) == (tag, f"{rseq} 1 INVITE")
        ua.peer.answers(prack, 200)
    ua.peer.answers(invite, 200, to_tag="bob2")
    await task
    await end_and_assert_clean(ua, leg)


@pytest.mark.parametrize("status", [481, 500])
async def test_a_refused_prack_does_not_end_the_call(ua: UserAgent, status: int) -> None:
    leg, task, invite = await ua.start_call()
    send_reliable(ua, invite, 5)
    ua.peer.answers(await ua.peer.hears("PRACK"), status)
    ua.peer.answers(invite, 200)
    await task
    await end_and_assert_clean(ua, leg)


async def test_the_rseq_of_a_repeated_invite_starts_afresh(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    send_reliable(ua, invite, 5, body=OTHER)
    ua.peer.answers(await ua.peer.hears("PRACK"), 200)
    ua.peer.answers(invite, 422, headers=[("Min-SE", "3600")])
    again = await ua.peer.hears("INVITE")
    send_reliable(ua, again, 1)
    prack = await ua.peer.hears("PRACK")
    assert prack.headers.get("RAck") == "1 2 INVITE"
    ua.peer.answers(prack, 200)
    ua.peer.answers(again, 200)
    await task
    assert leg.media.calls == [("offer", b""), ("answered", SDP)]
    await end_and_assert_clean(ua, leg)


REQUIRED = [("Require", "100REL, timer")]


async def test_a_421_requiring_100rel_is_followed_by_an_invite_supporting_it_rfc3261_21_4_16(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 421, headers=REQUIRED)
    again = await ua.peer.hears("INVITE")
    assert (again.call_id, again.cseq.number, again.body) == (invite.call_id, 2, invite.body)
    assert again.headers.split("Supported") == [*invite.headers.split("Supported"), "100rel"]
    ua.peer.answers(again, 422, headers=[("Min-SE", "3600")])
    longer = await ua.peer.hears("INVITE")
    assert longer.headers.split("Supported") == again.headers.split("Supported")
    send_reliable(ua, longer, 1)
    prack = await ua.peer.hears("PRACK")
    assert prack.headers.get("RAck") == "1 3 INVITE"
    ua.peer.answers(prack, 200)
    ua.peer.answers(longer, 200)
    await task
    await end_and_assert_clean(ua, leg)


@pytest.mark.parametrize("required", [[], [("Require", "100rel, precondition")], [("Require", "timer")]])
async def test_a_421_without_only_100rel_and_timer_in_require_raises_rejected_rfc3261_21_4_16(
    ua: UserAgent, required: list[tuple[str, str]]
) -> None:
    _, task, invite = await ua.start_call()
    ua.peer.answers(invite, 421, headers=required)
    with pytest.raises(Rejected, match="421"):
        await task
    assert ua.peer.count("INVITE") == 1
    await ua.assert_clean()


async def test_a_second_421_raises_rejected_rfc3261_21_4_16(ua: UserAgent) -> None:
    _, task, invite = await ua.start_call()
    ua.peer.answers(invite, 421, headers=REQUIRED)
    ua.peer.answers(await ua.peer.hears("INVITE"), 421, headers=REQUIRED)
    with pytest.raises(Rejected, match="421"):
        await task
    assert ua.peer.count("INVITE") == 2
    await ua.assert_clean()


async def test_a_provisional_with_a_malformed_rseq_or_no_to_tag_gets_no_prack(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    send_reliable(ua, invite, "soon")
    send_reliable(ua, invite, 1, to_tag=None)
    await asyncio.sleep(1)
    assert ua.peer.count("PRACK") == 0
    ua.peer.answers(invite, 200)
    await task
    await end_and_assert_clean(ua, leg)


# SDP answers before the 2xx


async def test_an_answer_in_a_reliable_183_is_applied_with_a_2xx_without_sdp_rfc3262_5(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    send_reliable(ua, invite, 5, 183, body=OTHER)
    ua.peer.answers(await ua.peer.hears("PRACK"), 200)
    await asyncio.sleep(1)
    assert leg.media.calls == [("offer", b"")]  # not applied before the 2xx
    ua.peer.answers(invite, 200, body=b"")
    await task
    assert leg.media.calls == [("offer", b""), ("answered", OTHER)]
    await end_and_assert_clean(ua, leg)


async def test_sdp_in_a_2xx_after_a_reliable_answer_is_ignored_rfc3261_13_2_1(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    send_reliable(ua, invite, 5, 183, body=OTHER)
    ua.peer.answers(await ua.peer.hears("PRACK"), 200)
    ua.peer.answers(invite, 200, body=SDP)
    await task
    assert leg.media.calls == [("offer", b""), ("answered", OTHER)]
    await end_and_assert_clean(ua, leg)


async def test_an_answer_in_an_unreliable_183_and_the_same_in_the_2xx_is_applied_once_rfc3261_13_2_1(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 183, body=SDP)
    ua.peer.answers(invite, 183, body=SDP)
    ua.peer.answers(invite, 200, body=SDP)
    await task
    assert leg.media.calls == [("offer", b""), ("answered", SDP)]
    assert leg.media.heard_early[0] == SDP
    await end_and_assert_clean(ua, leg)


async def test_the_answer_in_the_2xx_replaces_that_of_an_unreliable_183(ua: UserAgent) -> None:
    """An SBC that hides forks behind one To tag sends the final answer only in its 2xx."""
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 183, body=OTHER)
    ua.peer.answers(invite, 200, body=SDP)
    await task
    assert leg.media.calls == [("offer", b""), ("answered", SDP)]
    await end_and_assert_clean(ua, leg)


async def test_a_200_without_sdp_takes_the_answer_of_the_183_of_its_fork(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 183, body=SDP, to_tag="bob2")
    ua.peer.answers(invite, 183, body=OTHER)
    ua.peer.answers(invite, 200, body=b"")
    await task
    assert leg.media.calls == [("offer", b""), ("answered", OTHER)]
    await end_and_assert_clean(ua, leg)


async def test_the_number_of_early_answers_kept_is_bounded(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    for number in range(100):
        ua.peer.answers(invite, 183, body=SDP, to_tag=f"bob{number}")
    await asyncio.sleep(1)
    assert leg._client_invite is not None
    assert leg._client_invite._provisionals is not None
    assert len(leg._client_invite._provisionals._unreliable_sdp) == MAX_KEPT
    ua.peer.answers(invite, 200, body=b"", to_tag="bob7")
    await task
    await end_and_assert_clean(ua, leg)
