"""Ringing registered phones over their flows (RFC 5626), several at once: the first answer wins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.call.outcome import OnFailure, Result
from proxy.call.routing import Confirmation
from proxy.lab.audio import CALLER_HZ, PHONE_HZ
from proxy.sip.transaction_key import server_key
from proxy.sip.uri import Uri
from screening.contract import News, Ring
from tests.kit import messages
from tests.kit.desk_phone import DeskPhone
from tests.kit.edge import HOST, PHONE_NUMBER, NewEdge, a_number, leg_ends, summary
from tests.kit.office import ALICE, BOB, Office, an_office, has_received

TRUNKED = a_number().destinations[0]
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_registered_phone_rings_over_its_flow_and_talks_rfc5626_5_3(
    new_edge: NewEdge, transport: str
) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk(transport=transport)
        await edge.carrier.invites()
        call = await desk.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(2)
        assert edge.caller_audio is not None
        assert edge.caller_audio.hears(PHONE_HZ)
        assert office.voices[0].hears(CALLER_HZ)
        assert call.invite is not None
        assert call.invite.uri == desk.contact.strip("<>")
        await edge.carrier.hangs_up()
        await call.receives("BYE")
        assert summary(await edge.over()) == (Result.BRIDGED, None, "plan", "caller")
        await office.assert_clean()


async def test_a_registered_phone_sees_the_callers_number_in_from(new_edge: NewEdge) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk()
        await edge.carrier.invites()
        call = await desk.rings()
        assert call.invite is not None
        assert call.invite.from_.uri.user == "+13475550148"
        assert call.invite.from_.uri.host == HOST
        await desk.rejects(486)
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        await office.assert_clean()


async def test_a_registered_phone_hangs_up(new_edge: NewEdge) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk()
        await edge.carrier.invites()
        await desk.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        await desk.hangs_up()
        await edge.carrier.receives("BYE")
        assert summary(await edge.over()) == (Result.BRIDGED, None, "plan", "phone")
        await office.assert_clean()


@pytest.mark.parametrize("registers_after_s", [0, 3])
async def test_a_phone_that_lost_its_connection_gets_the_bye_over_its_next_registered_one(
    new_edge: NewEdge, registers_after_s: float
) -> None:
    """Its Contact is behind a NAT and unreachable; only a connection it opens itself works (RFC 5626)."""
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk(transport="tls")
        await edge.carrier.invites()
        call = await desk.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        edge.wire.cut(call.flow)
        await edge.time_passes(1)
        if not registers_after_s:
            await desk.registers()
        await edge.carrier.hangs_up()
        if registers_after_s:
            await edge.time_passes(registers_after_s)
            await desk.registers()
        await call.receives("BYE")
        assert summary(await edge.over()) == (Result.BRIDGED, None, "plan", "caller")
        await office.assert_clean()


@pytest.mark.parametrize("contact", ["as before", "another"])
async def test_a_phone_that_reconnects_is_not_confused_with_another_of_its_user(
    new_edge: NewEdge, contact: str
) -> None:
    """The other phone does not know the call, and answers 481 (RFC 3261 §12.2.2)."""
    async with an_office(new_edge) as office:
        edge, other = office.edge, await office.desk("192.0.2.102")
        desk = await office.desk(transport="tls")
        await edge.carrier.invites()
        await other.rings()
        call = await desk.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        edge.wire.cut(call.flow)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        await edge.time_passes(3)
        if contact == "another":
            desk.behind = "10.99.0.9"
        await desk.registers()
        await call.receives("BYE")
        assert not has_received(other, "BYE")
        assert summary(await edge.over()) == (Result.BRIDGED, None, "plan", "caller")
        await office.assert_clean()


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_a_phone_that_registers_elsewhere_during_a_call_gets_the_bye_there(
    new_edge: NewEdge, transport: str
) -> None:
    """Its NAT gave it a new address, and nothing tells us that the old one is dead (RFC 5626 §5.3)."""
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk(transport=transport)
        await edge.carrier.invites()
        call = await desk.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        moved = await office.desk("192.0.2.109", transport=transport, of=desk)
        await edge.carrier.hangs_up()
        await call.receives("BYE")
        assert [has_received(each, "BYE") for each in (desk, moved)] == [False, True]
        assert summary(await edge.over()) == (Result.BRIDGED, None, "plan", "caller")
        await office.assert_clean()


@pytest.mark.parametrize(
    "named", [{"instance": ';+sip.instance="<urn:uuid:1>"', "boot": "another"}, {"instance": ""}]
)
@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_a_phone_with_a_new_contact_during_a_call_gets_the_bye_there(
    new_edge: NewEdge, transport: str, named: dict[str, str]
) -> None:
    """In another network it has another address; its old registration stands until it expires."""
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk(transport=transport, instance=named["instance"])
        await edge.carrier.invites()
        call = await desk.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        moved = await office.desk("192.0.2.109", transport=transport, of=desk, behind="10.9.9.9", **named)
        await edge.carrier.hangs_up()
        await call.receives("BYE")
        assert [has_received(each, "BYE") for each in (desk, moved)] == [False, True]
        assert summary(await edge.over()) == (Result.BRIDGED, None, "plan", "caller")
        await office.assert_clean()


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_a_ringing_phone_that_registers_elsewhere_gets_ack_and_bye_there(
    new_edge: NewEdge, transport: str
) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk(transport=transport)
        await edge.carrier.invites()
        call = await desk.rings()
        moved = await office.desk("192.0.2.109", transport=transport, of=desk)
        await desk.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        assert [has_received(each, "ACK") for each in (desk, moved)] == [False, True]
        await edge.carrier.hangs_up()
        await call.receives("BYE")
        assert [has_received(each, "BYE") for each in (desk, moved)] == [False, True]
        assert summary(await edge.over()) == (Result.BRIDGED, None, "plan", "caller")
        await office.assert_clean()


async def test_a_phone_that_moves_before_it_got_the_invite_is_rung_at_its_new_address(
    new_edge: NewEdge,
) -> None:
    """Its INVITE is retransmitted in any case (RFC 3261 §17.1.1.2)."""
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk()
        edge.wire.silence("192.0.2.101")
        await edge.carrier.invites()
        await edge.time_passes(1)
        moved = await office.desk("192.0.2.109", of=desk)
        await moved.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        await moved.receives("BYE")
        assert summary(await edge.over()) == (Result.BRIDGED, None, "plan", "caller")
        await office.assert_clean()


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_a_ringing_phone_that_registers_elsewhere_gets_the_cancel_there(
    new_edge: NewEdge, transport: str
) -> None:
    """Otherwise it would ring on."""
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk(transport=transport)
        await edge.carrier.invites()
        await desk.rings()
        moved = await office.desk("192.0.2.109", transport=transport, of=desk)
        await edge.carrier.cancels()
        await edge.carrier.receives(487)
        await desk.receives("CANCEL")
        await edge.time_passes(1)
        for method in ("CANCEL", "ACK"):
            assert [has_received(each, method) for each in (desk, moved)] == [False, True]
        await office.assert_clean()


@pytest.mark.parametrize("answers", [True, False])
async def test_a_ringing_phone_that_reconnects_may_answer_over_the_new_connection(
    new_edge: NewEdge, answers: bool
) -> None:
    """It has changed networks, for example, and still rings (RFC 3261 §18.2.2, RFC 5626 §4.5)."""
    async with an_office(new_edge, on_failure=OnFailure.REJECT) as office:
        edge, desk = office.edge, await office.desk(transport="tls")
        await edge.carrier.invites()
        call = await desk.rings()
        await edge.time_passes(1)
        edge.wire.cut(call.flow)
        await edge.time_passes(3)
        await desk.registers()
        assert call.invite is not None
        way = await desk.flow_to(Uri.parse(f"sip:{HOST};transport=tls"))
        call._answers[server_key(call.invite)].flow = call.flow = way
        await edge.time_passes(10)
        if answers:
            await desk.answers()
            await edge.carrier.receives(200)
            await edge.time_passes(1)
            assert has_received(desk, "ACK")
            await edge.carrier.hangs_up()
            await call.receives("BYE")
            assert summary(await edge.over()) == (Result.BRIDGED, None, "plan", "caller")
        else:
            await edge.carrier.cancels()
            await edge.carrier.receives(487)
            await desk.receives("CANCEL")
        await office.assert_clean()


async def test_a_disconnected_ringing_phone_gets_the_cancel_when_it_reconnects(
    new_edge: NewEdge,
) -> None:
    """Otherwise it would ring on."""
    async with an_office(new_edge, on_failure=OnFailure.REJECT) as office:
        edge, desk = office.edge, await office.desk(transport="tls")
        await edge.carrier.invites()
        call = await desk.rings()
        await edge.time_passes(1)
        edge.wire.cut(call.flow)
        await edge.time_passes(1)
        await edge.carrier.cancels()
        await edge.time_passes(2)
        await desk.registers()
        way = await desk.flow_to(Uri.parse(f"sip:{HOST};transport=tls"))
        assert call.invite is not None
        call._answers[server_key(call.invite)].flow = call.flow = way
        await edge.carrier.receives(487)
        await desk.receives("CANCEL")
        await office.assert_clean()


async def test_a_ringing_phone_that_disconnects_and_stays_away_is_given_up_for_the_next(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge, ALICE, TRUNKED) as office:
        edge, desk = office.edge, await office.desk(transport="tls")
        await edge.carrier.invites()
        call = await desk.rings()
        await edge.time_passes(1)
        edge.wire.cut(call.flow)
        lost = edge.now
        await edge.phone.answers()
        assert 5 < edge.now - lost < 15
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        await office.assert_clean()


async def test_an_unregistered_phone_is_skipped_at_once(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ALICE, TRUNKED) as office:
        edge = office.edge
        began = edge.now
        await edge.carrier.invites()
        await edge.phone.answers()
        assert edge.now - began < 1
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert record.steps[:2] == ["planned: ring: a test", "not called: alice is not registered"]
        await office.assert_clean()


async def test_parallel_ringing_skips_unregistered_phones(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ALICE, TRUNKED, BOB, at_once=True) as office:
        edge, desk = office.edge, await office.desk(user="bob")
        await edge.carrier.invites()
        await edge.phone.rings()
        await desk.answers()
        await edge.phone.receives("CANCEL")
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert [leg.name for leg in record.legs] == ["caller", "phone", "phone 2"]
        await office.assert_clean()


@pytest.mark.relay_only("nobody talks")
@pytest.mark.parametrize("method", ["OPTIONS", "SUBSCRIBE", "PUBLISH"])
async def test_a_phone_unaware_of_our_restart_is_not_banned_for_unauthenticated_requests(
    new_edge: NewEdge, method: str
) -> None:
    """Nothing is answered, so over UDP it retransmits; then it registers (RFC 3261 §17.1.2.2)."""
    async with an_office(new_edge) as office:
        desk = DeskPhone(office.edge.wire.host("192.0.2.101"), "192.0.2.101", edge=HOST)
        await desk.start()
        flow = await desk.flow_to(Uri.parse(f"sip:{HOST}"))
        for number in range(4):
            ping = messages.request(method, f"sip:{HOST}", call_id=f"ping{number}")
            for wait_s in (0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4, 0.5):
                flow.send(ping.encode())
                await office.edge.time_passes(wait_s)
        assert desk.trace == []
        assert (await desk.registers()).status == 200
        await desk.close()


async def test_an_unregistered_source_that_sends_invites_is_banned(new_edge: NewEdge) -> None:
    async with an_office(new_edge) as office:
        edge = office.edge
        stranger = DeskPhone(edge.wire.host("192.0.2.101"), "192.0.2.101", edge=HOST)
        await stranger.start()
        flow = await stranger.flow_to(Uri.parse(f"sip:{HOST}"))
        for number in range(40):
            call = messages.request("INVITE", f"sip:{number}@{HOST}", call_id=f"call{number}")
            flow.send(call.encode())
            await edge.time_passes(1)
        assert edge.gate.banned() == 1
        assert stranger.trace == []
        await stranger.close()


async def test_the_agent_gets_480_by_notify_if_the_phone_is_not_registered(new_edge: NewEdge) -> None:
    async with an_office(new_edge) as office:
        edge = office.edge
        edge.screener.planned = None
        await edge.connects()
        await edge.agent.refers("sip:alice@registered")
        await edge.agent.receives("NOTIFY", sipfrag=100)
        await edge.agent.receives("NOTIFY", sipfrag=480)
        assert edge.screening.news[-1] is News.PHONE_UNREACHABLE
        await office.desk()
        await edge.agent.refers("sip:alice@registered")
        await office.desks[0].answers()
        await edge.agent.receives("NOTIFY", sipfrag=100)
        await edge.agent.receives("NOTIFY", sipfrag=200)
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        await office.assert_clean()


@pytest.mark.relay_only("it counts ports")
async def test_all_contacts_of_a_phone_ring_and_the_first_answer_wins_rfc3261_16_7(new_edge: NewEdge) -> None:
    async with an_office(new_edge) as office:
        edge = office.edge
        one, two = await office.desk(), await office.desk("192.0.2.102", transport="tcp")
        await edge.carrier.invites()
        await one.rings()
        await two.answers()
        cancel = await one.receives("CANCEL")
        assert cancel.headers.get("Reason") == ELSEWHERE
        await edge.carrier.receives(200)
        await edge.time_passes(2)
        assert edge.caller_audio is not None
        assert edge.caller_audio.hears(PHONE_HZ)
        assert office.voices[1].hears(CALLER_HZ)
        assert not office.voices[0].hears(CALLER_HZ)
        assert edge.ports.lent == 2  # the losing branch's port is free again
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert leg_ends(record)[1:] == [
            ("phone", "Call completed elsewhere"),
            ("phone 2", "the caller hung up"),
        ]
        await office.assert_clean()


@pytest.mark.parametrize(
    ("before", "now", "boots"),
    [
        (';+sip.instance="<urn:uuid:1>"', ';+sip.instance="<urn:uuid:1>"', ["boot-1", "boot-2"]),
        (
            ';+sip.instance="<urn:uuid:1>";reg-id=1',
            ';+sip.instance="<urn:uuid:1>";reg-id=2',
            ["flow-1", "flow-2"],
        ),
        ("", "", ["boot-1", "boot-1"]),
    ],
)
async def test_a_phone_registered_at_two_addresses_is_rung_at_the_newer_one_only_rfc5626_7(
    new_edge: NewEdge, before: str, now: str, boots: list[str]
) -> None:
    """It has changed networks, or has two flows to us: after it declines, its other flow is not tried."""
    async with an_office(new_edge, on_failure=OnFailure.REJECT) as office:
        edge = office.edge
        desk = await office.desk(instance=before, boot=boots[0])
        away = await office.desk("192.0.2.109", instance=now, boot=boots[1])
        await edge.carrier.invites()
        began = edge.now
        await away.rejects(486)
        await edge.carrier.receives(486)
        assert edge.now - began < 2
        assert not has_received(desk, "INVITE")
        await office.assert_clean()


async def test_the_second_of_two_simultaneous_answers_gets_ack_and_bye_rfc3261_13_2_2_4(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge) as office:
        edge = office.edge
        one, two = await office.desk(), await office.desk("192.0.2.102")
        await edge.carrier.invites()
        await one.rings()
        await two.rings()
        await one.answers()
        await two.answers()
        bye = await two.receives("BYE")
        assert bye.headers.get("Reason") == ELSEWHERE
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        await one.receives("BYE")
        await office.assert_clean()


async def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up_rfc3261_15(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge) as office:
        edge = office.edge
        one, two = await office.desk(), await office.desk("192.0.2.102")
        await edge.carrier.invites()
        await one.rings()
        await two.rings()
        await one.answers()
        await edge.time_passes(edge.wire.delay_s * 1.5)  # the CANCEL is on its way
        await two.answers()
        bye = await two.receives("BYE")
        assert bye.headers.get("Reason") == ELSEWHERE
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        await office.assert_clean()


@pytest.mark.parametrize("seed", range(1, 6))
async def test_two_simultaneous_answers_on_a_lossy_network_leave_exactly_one_call(
    new_edge: NewEdge, seed: int
) -> None:
    number = a_number(destinations=(ALICE,))
    async with new_edge(number=number, seed=seed) as edge:
        edge.screener.planned = Ring("a test")
        office = Office(edge)
        one, two = await office.desk(), await office.desk("192.0.2.102")
        edge.wire.impair(loss=0.2, duplication=0.1, reordering=0.2)
        await edge.carrier.invites()
        await one.rings()
        await two.rings()
        await one.answers()
        await two.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(10)
        edge.wire.impair()
        assert sum(not desk.current.over for desk in (one, two)) == 1
        await edge.carrier.hangs_up()
        assert (await edge.over()).outcome is not None
        office.registrar.close()
        await edge.assert_clean(faults=False)
        assert one.current.over
        assert two.current.over
        await office.close()


async def test_busy_at_one_phone_and_480_at_the_other_is_reported_as_486_rfc3261_16_7(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge, ALICE, BOB, at_once=True) as office:
        edge = office.edge
        edge.screener.planned = None
        one, two = await office.desk(), await office.desk("192.0.2.102", user="bob")
        await edge.connects()
        await edge.agent.refers("sip:alice@registered")
        await two.rejects(480)
        await one.rejects(486)
        await edge.agent.receives("NOTIFY", sipfrag=100)
        await edge.agent.receives("NOTIFY", sipfrag=486)
        assert edge.screening.news[-1] is News.PHONE_BUSY
        await edge.carrier.hangs_up()
        await office.assert_clean()


async def test_a_6xx_cancels_all_other_phones_rfc3261_16_7(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ALICE, TRUNKED) as office:
        edge = office.edge
        one, two = await office.desk(), await office.desk("192.0.2.102")
        await edge.carrier.invites()
        await two.rings()
        await one.rejects(603)
        await two.receives("CANCEL")
        await edge.phone.receives_nothing(for_s=30)
        await edge.carrier.receives(200)  # voicemail
        await edge.carrier.hangs_up()
        assert (await edge.over()).outcome is not None
        await office.assert_clean()


@pytest.mark.parametrize("key", ["1", "2"])
async def test_a_6xx_does_not_end_the_leg_of_a_phone_that_has_answered_rfc3261_16_7(
    new_edge: NewEdge, key: str
) -> None:
    """This user has picked up, is being told who calls, and is about to decide."""
    async with an_office(new_edge, replace(ALICE, confirm=Confirmation.PRESS_1)) as office:
        edge = office.edge
        one, two = await office.desk(), await office.desk("192.0.2.102")
        three = await office.desk("192.0.2.103", transport="tcp")
        await edge.carrier.invites()
        picked_up = await one.answers()
        await two.rings()
        await edge.time_passes(1)
        await three.rejects(603)
        await two.receives("CANCEL")
        await edge.time_passes(1)
        assert not picked_up.over
        one.presses(key)
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        assert picked_up.over == (key == "2")
        await edge.carrier.hangs_up()
        taken = {"1": Result.BRIDGED, "2": Result.VOICEMAIL}
        assert summary(await edge.over())[0] is taken[key]
        await office.assert_clean()


async def test_after_a_6xx_and_an_unconfirmed_answer_no_further_destination_rings_rfc3261_16_7(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge, replace(ALICE, confirm=Confirmation.PRESS_1), TRUNKED) as office:
        edge = office.edge
        one, two = await office.desk(), await office.desk("192.0.2.102")
        await edge.carrier.invites()
        await one.answers()
        await two.rejects(603)
        await edge.time_passes(1)
        await one.hangs_up()
        await edge.phone.receives_nothing(for_s=30)
        await edge.carrier.receives(200)  # voicemail
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.VOICEMAIL
        await office.assert_clean()


async def test_a_trunk_and_a_registered_phone_ring_in_parallel(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ALICE, TRUNKED, at_once=True) as office:
        edge, desk = office.edge, await office.desk()
        await edge.carrier.invites()
        await desk.rings()
        await edge.phone.rings()
        await edge.phone.answers()
        cancel = await desk.receives("CANCEL")
        assert cancel.headers.get("Reason") == ELSEWHERE
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        await office.assert_clean()


async def test_a_refer_to_one_of_several_parallel_destinations_rings_them_all(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ALICE, TRUNKED, at_once=True) as office:
        edge, desk = office.edge, await office.desk()
        edge.screener.planned = None
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await desk.rings()
        await edge.phone.rings()
        await desk.answers()
        await edge.phone.receives("CANCEL")
        await edge.agent.receives("BYE")
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        await office.assert_clean()


async def test_nobody_answers_and_all_are_cancelled_at_the_ring_limit(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ring_limit_s=10.0) as office:
        edge = office.edge
        one, two = await office.desk(), await office.desk("192.0.2.102")
        await edge.carrier.invites()
        await one.rings()
        await two.rings()
        began = edge.now
        await one.receives("CANCEL")
        await two.receives("CANCEL")
        assert edge.now - began == pytest.approx(10, abs=0.1)
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        assert leg_ends(await edge.over())[1:] == [
            ("phone", "no answer in time"),
            ("phone 2", "no answer in time"),
        ]
        await office.assert_clean()


async def test_a_caller_who_leaves_takes_every_ringing_phone_along(new_edge: NewEdge) -> None:
    async with an_office(new_edge) as office:
        edge = office.edge
        one, two = await office.desk(), await office.desk("192.0.2.102")
        await edge.carrier.invites()
        await one.rings()
        await two.rings()
        left = edge.now
        await edge.carrier.cancels()
        await edge.carrier.receives(487)
        for desk in (one, two):
            cancel = await desk.receives("CANCEL")
            assert "the caller hung up" in (cancel.headers.get("Reason") or "")
        assert edge.now - left < 1
        await office.assert_clean()


async def test_whom_a_mobile_sends_on_while_a_registered_phone_rings_is_taken_rfc5806(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge, ALICE, TRUNKED) as office:
        edge, desk = office.edge, await office.desk()
        await edge.carrier.invites()
        await desk.rings()
        first = edge.carrier.current
        await edge.carrier.invites(headers=[("Diversion", f"<sip:{PHONE_NUMBER}@carrier.example>")])
        await edge.carrier.receives(180)
        for call in (edge.carrier.current, first):
            await call.cancels()
        await edge.over(2)
        await office.assert_clean()


async def test_a_phone_whose_connection_is_lost_while_it_rings_costs_the_others_nothing(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge) as office:
        edge = office.edge
        one, two = await office.desk(), await office.desk("192.0.2.102", transport="tcp")
        await edge.carrier.invites()
        await one.rings()
        await two.rings()
        for flow in edge.wire.flows():
            edge.wire.cut(flow)
        await one.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        assert len(office.registrar.reachable("alice")) == 1
        office.desks.remove(two)
        await office.assert_clean()
        await two.close()


async def test_a_phone_may_be_called_again_when_the_first_call_is_over(new_edge: NewEdge) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk()
        for _ in range(2):
            await edge.carrier.invites()
            await desk.answers()
            await edge.carrier.receives(200)
            await edge.carrier.hangs_up()
            await edge.time_passes(1)
        office.registrar.close()
        await edge.assert_clean(calls=2)
