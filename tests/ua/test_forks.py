"""Forked early dialogs of our INVITE, and requests within them (RFC 3261 §12.1.2, §13.2.2.4)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.ua.errors import LegEnded, OfferRefused, Rejected
from proxy.ua.forks import MAX_FORKS
from proxy.ua.outgoing_invite import Outgoing
from proxy.ua.reason import EndReason
from tests.kit.messages import SDP
from tests.ua.user_agent import PEER, Peer, UserAgent, from_callee, wait_for_ringing

REFER_TO = [("Refer-To", "<tel:+14155550100>")]


async def test_a_provisional_with_a_to_tag_creates_one_early_dialog_rfc3261_12_1_2(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 100, to_tag=None)
    ua.peer.answers(invite, 180, to_tag=None)
    await wait_for_ringing(leg)
    assert ua.core.left_over()["dialogs"] == 0
    ua.peer.answers(invite, 180)
    ua.peer.answers(invite, 180)
    await asyncio.sleep(0.1)
    assert ua.core.left_over()["dialogs"] == 1
    ua.peer.answers(invite, 486)
    with pytest.raises(Rejected):
        await task
    assert ua.core.left_over()["dialogs"] == 0
    await ua.assert_clean()


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("UPDATE", b"", 200),
        ("UPDATE", SDP, 491),
        ("INVITE", SDP, 491),
        ("INVITE", b"", 491),
        ("OPTIONS", b"", 200),
        ("NOTIFY", b"", 481),
        ("REFER", b"", 603),
        ("MESSAGE", b"", 405),
    ],
)
async def test_requests_of_the_called_peer_in_an_early_dialog_are_answered_by_method_rfc3261_14_2_rfc3311_5_2(
    ua: UserAgent, method: str, body: bytes, status: int
) -> None:
    leg = ua.leg("phone")
    peer = ua.peer
    task = asyncio.ensure_future(leg.invite(Outgoing(f"sip:bob@{PEER}:5060", "<sip:us@sbc.example.com>")))
    invite = await peer.hears("INVITE")
    peer.answers(invite, 180)
    await wait_for_ringing(leg)
    await peer.says(from_callee(invite, method, 7, body=body))
    answer = await peer.hears(status)
    if method == "INVITE":
        await peer.says(from_callee(invite, "ACK", 7, branch="z9hG4bKinvite7"))
    if status == 200 and method == "UPDATE":
        assert answer.contact.uri.user == "token1"
    await peer.says(from_callee(invite, "OPTIONS", 6))
    await peer.hears(500)
    peer.answers(invite, 200)
    await task
    assert leg.dialog is not None
    assert leg.dialog.remote_cseq == 7
    leg.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_an_update_in_an_early_dialog_changes_its_target_rfc3311_5_2(ua: UserAgent) -> None:
    moved = Peer(ua.wire, "192.0.2.7")
    await moved.start()
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    update = from_callee(invite, "UPDATE", 1)
    update.headers.set("Contact", "<sip:bob@192.0.2.7:5060>")
    await ua.peer.says(update)
    await ua.peer.hears(200)
    ua.peer.answers(invite, 200, contact=None)
    await task
    assert (await moved.hears("ACK")).uri == "sip:bob@192.0.2.7:5060"
    leg.end(EndReason.COMPLETED)
    moved.answers(await moved.hears("BYE"), 200)
    await ua.assert_clean()


async def test_each_fork_has_its_own_dialog_until_64_t1_after_the_first_2xx_rfc5407_appendix_e(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180, to_tag="one")
    ua.peer.answers(invite, 183, to_tag="two")
    await wait_for_ringing(leg)
    await ua.peer.says(from_callee(invite, "UPDATE", 1, tag="one"))
    await ua.peer.says(from_callee(invite, "UPDATE", 9, tag="two", branch="z9hG4bKtwo"))
    assert {(await ua.peer.hears(200)).from_tag for _ in range(2)} == {"one", "two"}
    ua.peer.answers(invite, 200, to_tag="two")
    await task
    assert leg.dialog is not None
    assert leg.dialog.id.remote_tag == "two"
    assert ua.core.left_over()["dialogs"] == 2
    await asyncio.sleep(31.9)
    assert ua.core.left_over()["dialogs"] == 2
    await asyncio.sleep(0.2)  # §13.2.2.4: 64*T1 after the first 2xx
    assert ua.core.left_over()["dialogs"] == 1
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_requests_of_a_fork_that_is_being_ended_are_answered_rfc3261_13_2_2_4(ua: UserAgent) -> None:
    leg, invite = await ua.connected_leg()
    ua.peer.answers(invite, 200, to_tag="two")
    bye = await ua.peer.hears("BYE")
    assert bye.to_tag == "two"
    await ua.peer.says(from_callee(invite, "INVITE", 1, tag="two", body=SDP))
    await ua.peer.hears(481)
    await ua.peer.says(from_callee(invite, "ACK", 1, tag="two", branch="z9hG4bKinvite1"))
    await ua.peer.says(from_callee(invite, "BYE", 2, tag="two"))
    await ua.peer.hears(200)
    ua.peer.answers(bye, 200)
    assert not leg.ended.done()
    await asyncio.sleep(1)
    assert ua.core.left_over()["dialogs"] == 1
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_bye_in_the_only_early_dialog_ends_the_leg_and_cancels_the_invite_rfc5407_appendix_a(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    await ua.peer.says(from_callee(invite, "BYE", 1))
    await ua.peer.hears(200)
    with pytest.raises(LegEnded):
        await task
    assert leg.ended.result() is EndReason.HUNG_UP
    ua.peer.answers(await ua.peer.hears("CANCEL"), 200)
    ua.peer.answers(invite, 180)
    ua.peer.answers(invite, 487)
    await ua.peer.hears("ACK")
    await ua.assert_clean()


async def test_an_early_bye_of_one_fork_leaves_the_other_forks_ringing(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180, to_tag="one")
    ua.peer.answers(invite, 180, to_tag="two")
    await wait_for_ringing(leg)
    await ua.peer.says(from_callee(invite, "BYE", 1, tag="one"))
    await ua.peer.hears(200)
    assert not task.done()
    ua.peer.answers(invite, 200, to_tag="one")  # crosses its own BYE: only acknowledged
    assert (await ua.peer.hears("ACK")).to_tag == "one"
    ua.peer.answers(invite, 200, to_tag="two")
    await task
    assert leg.dialog is not None
    assert leg.dialog.id.remote_tag == "two"
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert ua.peer.count("BYE") == 1


async def test_a_refer_in_an_early_dialog_waits_for_the_2xx(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call(takes_refer=True)
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    await ua.peer.says(from_callee(invite, "REFER", 1, headers=REFER_TO))
    await asyncio.sleep(3.4)
    assert ua.peer.count(100) == 0
    await ua.peer.hears(100)  # RFC 4320 §4.1
    assert leg.refer_waiting() is None
    ua.peer.answers(invite, 200)
    await task
    (await leg.refer()).accept()
    await ua.peer.hears(202)
    ua.peer.answers(await ua.peer.hears("NOTIFY"), 200)
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


@pytest.mark.parametrize(("headers", "owed"), [([], 400), ([("Refer-To", "<tel:1>, <tel:2>")], 400)])
async def test_a_refer_without_a_single_refer_to_in_an_early_dialog_gets_400(
    ua: UserAgent, headers: list[tuple[str, str]], owed: int
) -> None:
    leg, task, invite = await ua.start_call(takes_refer=True)
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    await ua.peer.says(from_callee(invite, "REFER", 1, headers=headers))
    ua.peer.answers(invite, 200)
    await task
    await ua.peer.hears(owed)
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_refer_in_an_early_dialog_gets_481_if_the_call_is_not_answered(
    ua: UserAgent, cancelled: bool
) -> None:
    leg, task, invite = await ua.start_call(takes_refer=True)
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    await ua.peer.says(from_callee(invite, "REFER", 1, headers=REFER_TO))
    await asyncio.sleep(0.1)
    if cancelled:
        leg.end(EndReason.NO_ANSWER)
        ua.peer.answers(await ua.peer.hears("CANCEL"), 200)
        await ua.peer.says(from_callee(invite, "UPDATE", 2))
        await ua.peer.hears(481)
    ua.peer.answers(invite, 487 if cancelled else 486)
    await ua.peer.hears(481)
    await asyncio.gather(task, return_exceptions=True)
    await ua.assert_clean()


async def test_early_dialogs_are_removed_when_their_connection_is_lost(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    leg, task, invite = await ua.start_call("sip:bob@192.0.2.7:5061;transport=tls", peer)
    peer.answers(invite, 180)
    await wait_for_ringing(leg)
    ua.wire.cut(ua.wire.flows()[0])
    await asyncio.gather(task, return_exceptions=True)
    await ua.assert_clean(after_s=0.1)


async def test_a_provisional_with_a_malformed_contact_creates_no_dialog(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180, contact="<sip:@@@>")
    await wait_for_ringing(leg)
    assert ua.core.left_over()["dialogs"] == 0
    ua.peer.answers(invite, 200)
    await task
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_the_number_of_early_dialogs_is_limited(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    for number in range(2 * MAX_FORKS):
        ua.peer.answers(invite, 180, to_tag=f"fork{number}")
    await asyncio.sleep(0.1)
    assert ua.core.left_over()["dialogs"] == MAX_FORKS
    ua.peer.answers(invite, 200, to_tag=f"fork{2 * MAX_FORKS - 1}")
    await task
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert leg.ended.done()


async def test_closing_the_core_removes_all_early_dialogs(ua: UserAgent) -> None:
    _, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180, to_tag="one")
    ua.peer.answers(invite, 180, to_tag="two")
    await asyncio.sleep(0.1)
    ua.peer.answers(invite, 200, to_tag="two")
    await task
    await ua.core.close()
    assert not any(ua.core.left_over().values())


async def test_the_bye_of_a_losing_fork_does_not_end_the_leg(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180, to_tag="one")
    ua.peer.answers(invite, 200, to_tag="two")
    await task
    await ua.peer.says(from_callee(invite, "BYE", 1, tag="one"))
    await ua.peer.hears(200)
    assert not leg.ended.done()
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


@pytest.mark.parametrize("others", [0, 1])
async def test_a_bye_between_the_200_and_our_ack_ends_the_leg(ua: UserAgent, others: int) -> None:
    """The ACK's target is still being resolved; other ringing forks are awaited for at most 64*T1."""
    other = Peer(ua.wire, "192.0.2.7", names=("pbx.example.com",))
    await other.start()
    leg, task, invite = await ua.start_call()
    for number in range(others):
        ua.peer.answers(invite, 180, to_tag=f"other{number}")
    ua.peer.answers(invite, 200, contact="<sip:bob@pbx.example.com>")
    await ua.peer.says(from_callee(invite, "BYE", 1))
    await ua.peer.hears(200)
    with pytest.raises(LegEnded):
        await task
    assert leg.ended.result() is EndReason.HUNG_UP
    await other.hears("ACK")
    await ua.assert_clean()
    assert ua.peer.count("CANCEL") + other.count("BYE") == 0


async def test_a_refer_between_the_200_and_our_ack_is_handled_after_the_ack(ua: UserAgent) -> None:
    other = Peer(ua.wire, "192.0.2.7", names=("pbx.example.com",))
    await other.start()
    leg, task, invite = await ua.start_call(takes_refer=True)
    ua.peer.answers(invite, 200, contact="<sip:bob@pbx.example.com>")
    await ua.peer.says(from_callee(invite, "REFER", 1, headers=REFER_TO))
    await task
    (await leg.refer()).refuse(403)
    await ua.peer.hears(403)
    leg.end(EndReason.COMPLETED)
    other.answers(await other.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_waiting_refer_gets_481_if_the_answer_is_unusable(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call(takes_refer=True)
    leg.media.refuses = 488
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    await ua.peer.says(from_callee(invite, "REFER", 1, headers=REFER_TO))
    ua.peer.answers(invite, 200)
    with pytest.raises(OfferRefused):
        await task
    await ua.peer.hears(481)
    ua.peer.answers(ua.peer.all("BYE")[0], 200)
    await ua.assert_clean()


async def test_the_number_of_forks_that_get_ack_and_bye_is_limited_rfc3261_13_2_2_4(
    ua: UserAgent,
) -> None:
    """Each 2xx names the target of its ACK and BYE: thousands of them would aim our traffic at a victim."""
    victim = Peer(ua.wire, "192.0.2.99")
    await victim.start()
    leg, task, invite = await ua.start_call()
    for number in range(500):
        ua.peer.answers(invite, 200, to_tag=f"bob{number}", contact="<sip:v@192.0.2.99:5060>")
    await task
    await asyncio.sleep(5)
    assert len({bye.to_tag for bye in victim.all("BYE")}) == MAX_FORKS - 1
    assert victim.count("ACK") == MAX_FORKS
    leg.end(EndReason.COMPLETED)
    await victim.hears("BYE")
    await ua.assert_clean()
