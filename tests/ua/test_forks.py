"""Early dialogs of our INVITE: several of them, and what is asked in them (RFC 3261 §12.1.2, §13.2.2.4)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.ua.errors import LegEnded, OfferRefused, Rejected
from proxy.ua.forks import MAX_FORKS
from proxy.ua.outgoing_invite import Outgoing
from proxy.ua.reason import EndReason
from tests.kit.messages import SDP
from tests.ua.house import FAR, Far, House, back, rings

REFER_TO = [("Refer-To", "<tel:+14155550100>")]


async def test_a_provisional_with_a_tag_makes_an_early_dialog_rfc3261_12_1_2(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 100, to_tag=None)
    house.far.answers(invite, 180, to_tag=None)
    await rings(leg)
    assert house.core.left_over()["dialogs"] == 0
    house.far.answers(invite, 180)
    house.far.answers(invite, 180)
    await asyncio.sleep(0.1)
    assert house.core.left_over()["dialogs"] == 1
    house.far.answers(invite, 486)
    with pytest.raises(Rejected):
        await task
    assert house.core.left_over()["dialogs"] == 0
    await house.assert_clean()


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
async def test_what_a_peer_asks_before_it_answers_rfc3261_14_2_rfc3311_5_2(
    house: House, method: str, body: bytes, status: int
) -> None:
    leg = house.leg("phone")
    far = house.far
    task = asyncio.ensure_future(leg.invite(Outgoing(f"sip:bob@{FAR}:5060", "<sip:us@sbc.example.com>")))
    invite = await far.hears("INVITE")
    far.answers(invite, 180)
    await rings(leg)
    await far.says(back(invite, method, 7, body=body))
    answer = await far.hears(status)
    if method == "INVITE":
        await far.says(back(invite, "ACK", 7, branch="z9hG4bKinvite7"))
    if status == 200 and method == "UPDATE":
        assert answer.contact.uri.user == "token1"
    await far.says(back(invite, "OPTIONS", 6))
    await far.hears(500)
    far.answers(invite, 200)
    await task
    assert leg.dialog is not None
    assert leg.dialog.remote_cseq == 7
    leg.end(EndReason.COMPLETED)
    far.answers(await far.hears("BYE"), 200)
    await house.assert_clean()


async def test_an_update_in_an_early_dialog_moves_its_target_rfc3311_5_2(house: House) -> None:
    moved = Far(house.wire, "192.0.2.7")
    await moved.start()
    leg, task, invite = await house.calling()
    house.far.answers(invite, 180)
    await rings(leg)
    update = back(invite, "UPDATE", 1)
    update.headers.set("Contact", "<sip:bob@192.0.2.7:5060>")
    await house.far.says(update)
    await house.far.hears(200)
    house.far.answers(invite, 200, contact=None)
    await task
    assert (await moved.hears("ACK")).uri == "sip:bob@192.0.2.7:5060"
    leg.end(EndReason.COMPLETED)
    moved.answers(await moved.hears("BYE"), 200)
    await house.assert_clean()


async def test_each_fork_is_a_dialog_of_its_own_rfc5407_appendix_e(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 180, to_tag="one")
    house.far.answers(invite, 183, to_tag="two")
    await rings(leg)
    await house.far.says(back(invite, "UPDATE", 1, tag="one"))
    await house.far.says(back(invite, "UPDATE", 9, tag="two", branch="z9hG4bKtwo"))
    assert {(await house.far.hears(200)).from_tag for _ in range(2)} == {"one", "two"}
    house.far.answers(invite, 200, to_tag="two")
    await task
    assert leg.dialog is not None
    assert leg.dialog.id.remote_tag == "two"
    assert house.core.left_over()["dialogs"] == 2
    await asyncio.sleep(31.9)
    assert house.core.left_over()["dialogs"] == 2
    await asyncio.sleep(0.2)  # §13.2.2.4: 64*T1 after the first 2xx
    assert house.core.left_over()["dialogs"] == 1
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_losing_fork_is_answered_until_it_is_hung_up_rfc3261_13_2_2_4(house: House) -> None:
    leg, invite = await house.connected()
    house.far.answers(invite, 200, to_tag="two")
    bye = await house.far.hears("BYE")
    assert bye.to_tag == "two"
    await house.far.says(back(invite, "INVITE", 1, tag="two", body=SDP))
    await house.far.hears(481)
    await house.far.says(back(invite, "ACK", 1, tag="two", branch="z9hG4bKinvite1"))
    await house.far.says(back(invite, "BYE", 2, tag="two"))
    await house.far.hears(200)
    house.far.answers(bye, 200)
    assert not leg.ended.done()
    await asyncio.sleep(1)
    assert house.core.left_over()["dialogs"] == 1
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_peer_that_says_bye_before_its_answer_has_declined_rfc5407_appendix_a(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 180)
    await rings(leg)
    await house.far.says(back(invite, "BYE", 1))
    await house.far.hears(200)
    with pytest.raises(LegEnded):
        await task
    assert leg.ended.result() is EndReason.HUNG_UP
    house.far.answers(await house.far.hears("CANCEL"), 200)
    house.far.answers(invite, 180)
    house.far.answers(invite, 487)
    await house.far.hears("ACK")
    await house.assert_clean()


async def test_an_early_bye_of_one_fork_leaves_the_others_ringing(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 180, to_tag="one")
    house.far.answers(invite, 180, to_tag="two")
    await rings(leg)
    await house.far.says(back(invite, "BYE", 1, tag="one"))
    await house.far.hears(200)
    assert not task.done()
    house.far.answers(invite, 200, to_tag="one")  # crossed its own BYE: acknowledged, and nothing more
    assert (await house.far.hears("ACK")).to_tag == "one"
    house.far.answers(invite, 200, to_tag="two")
    await task
    assert leg.dialog is not None
    assert leg.dialog.id.remote_tag == "two"
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()
    assert house.far.count("BYE") == 1


async def test_a_refer_that_overtakes_the_answer_waits_for_it(house: House) -> None:
    leg, task, invite = await house.calling(takes_refer=True)
    house.far.answers(invite, 180)
    await rings(leg)
    await house.far.says(back(invite, "REFER", 1, headers=REFER_TO))
    await asyncio.sleep(3.4)
    assert house.far.count(100) == 0
    await house.far.hears(100)  # RFC 4320 §4.1
    assert leg.refer_waiting() is None
    house.far.answers(invite, 200)
    await task
    (await leg.refer()).accept()
    await house.far.hears(202)
    house.far.answers(await house.far.hears("NOTIFY"), 200)
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


@pytest.mark.parametrize(("headers", "owed"), [([], 400), ([("Refer-To", "<tel:1>, <tel:2>")], 400)])
async def test_a_refer_that_overtakes_the_answer_and_says_nothing_is_refused(
    house: House, headers: list[tuple[str, str]], owed: int
) -> None:
    leg, task, invite = await house.calling(takes_refer=True)
    house.far.answers(invite, 180)
    await rings(leg)
    await house.far.says(back(invite, "REFER", 1, headers=headers))
    house.far.answers(invite, 200)
    await task
    await house.far.hears(owed)
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_refer_before_an_answer_that_never_comes_gets_481(house: House, cancelled: bool) -> None:
    leg, task, invite = await house.calling(takes_refer=True)
    house.far.answers(invite, 180)
    await rings(leg)
    await house.far.says(back(invite, "REFER", 1, headers=REFER_TO))
    await asyncio.sleep(0.1)
    if cancelled:
        leg.end(EndReason.NO_ANSWER)
        house.far.answers(await house.far.hears("CANCEL"), 200)
        await house.far.says(back(invite, "UPDATE", 2))
        await house.far.hears(481)
    house.far.answers(invite, 487 if cancelled else 486)
    await house.far.hears(481)
    await asyncio.gather(task, return_exceptions=True)
    await house.assert_clean()


async def test_early_dialogs_end_with_the_way_to_the_peer(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tls")
    await far.start()
    leg, task, invite = await house.calling("sip:bob@192.0.2.7:5061;transport=tls", far)
    far.answers(invite, 180)
    await rings(leg)
    house.wire.cut(house.wire.flows()[0])
    await asyncio.gather(task, return_exceptions=True)
    await house.assert_clean(after_s=0.1)


async def test_a_provisional_whose_contact_cannot_be_read_makes_no_dialog(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 180, contact="<sip:@@@>")
    await rings(leg)
    assert house.core.left_over()["dialogs"] == 0
    house.far.answers(invite, 200)
    await task
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_the_number_of_early_dialogs_is_limited(house: House) -> None:
    leg, task, invite = await house.calling()
    for number in range(2 * MAX_FORKS):
        house.far.answers(invite, 180, to_tag=f"fork{number}")
    await asyncio.sleep(0.1)
    assert house.core.left_over()["dialogs"] == MAX_FORKS
    house.far.answers(invite, 200, to_tag=f"fork{2 * MAX_FORKS - 1}")
    await task
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()
    assert leg.ended.done()


async def test_a_house_that_closes_leaves_no_early_dialog(house: House) -> None:
    _, task, invite = await house.calling()
    house.far.answers(invite, 180, to_tag="one")
    house.far.answers(invite, 180, to_tag="two")
    await asyncio.sleep(0.1)
    house.far.answers(invite, 200, to_tag="two")
    await task
    await house.core.close()
    assert not any(house.core.left_over().values())


async def test_the_bye_of_a_fork_that_lost_ends_no_other(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 180, to_tag="one")
    house.far.answers(invite, 200, to_tag="two")
    await task
    await house.far.says(back(invite, "BYE", 1, tag="one"))
    await house.far.hears(200)
    assert not leg.ended.done()
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


@pytest.mark.parametrize("others", [0, 1])
async def test_a_bye_between_the_200_and_its_ack_has_declined(house: House, others: int) -> None:
    """The way of the ACK is still looked for; another that rings on is waited for no longer than 64*T1."""
    other = Far(house.wire, "192.0.2.7", names=("pbx.example.com",))
    await other.start()
    leg, task, invite = await house.calling()
    for number in range(others):
        house.far.answers(invite, 180, to_tag=f"other{number}")
    house.far.answers(invite, 200, contact="<sip:bob@pbx.example.com>")
    await house.far.says(back(invite, "BYE", 1))
    await house.far.hears(200)
    with pytest.raises(LegEnded):
        await task
    assert leg.ended.result() is EndReason.HUNG_UP
    await other.hears("ACK")
    await house.assert_clean()
    assert house.far.count("CANCEL") + other.count("BYE") == 0


async def test_a_request_between_the_200_and_its_ack_waits_for_it(house: House) -> None:
    other = Far(house.wire, "192.0.2.7", names=("pbx.example.com",))
    await other.start()
    leg, task, invite = await house.calling(takes_refer=True)
    house.far.answers(invite, 200, contact="<sip:bob@pbx.example.com>")
    await house.far.says(back(invite, "REFER", 1, headers=REFER_TO))
    await task
    (await leg.refer()).refuse(403)
    await house.far.hears(403)
    leg.end(EndReason.COMPLETED)
    other.answers(await other.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_refer_that_waited_for_an_answer_of_no_use_gets_481(house: House) -> None:
    leg, task, invite = await house.calling(takes_refer=True)
    leg.media.refuses = 488
    house.far.answers(invite, 180)
    await rings(leg)
    await house.far.says(back(invite, "REFER", 1, headers=REFER_TO))
    house.far.answers(invite, 200)
    with pytest.raises(OfferRefused):
        await task
    await house.far.hears(481)
    house.far.answers(house.far.all("BYE")[0], 200)
    await house.assert_clean()


async def test_a_peer_that_answers_without_end_gets_a_bounded_number_of_byes_rfc3261_13_2_2_4(
    house: House,
) -> None:
    """Each 2xx says where its BYE goes, again and again: who sends thousands aims us at somebody."""
    victim = Far(house.wire, "192.0.2.99")
    await victim.start()
    leg, task, invite = await house.calling()
    for number in range(500):
        house.far.answers(invite, 200, to_tag=f"bob{number}", contact="<sip:v@192.0.2.99:5060>")
    await task
    await asyncio.sleep(5)
    assert len({bye.to_tag for bye in victim.all("BYE")}) == MAX_FORKS - 1
    assert victim.count("ACK") == MAX_FORKS
    leg.end(EndReason.COMPLETED)
    await victim.hears("BYE")
    await house.assert_clean()
