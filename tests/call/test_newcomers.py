"""Phones that register while their user is being called, such as an app woken by a push."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.call.outcome import OnFailure, Result
from proxy.call.routing import Confirmation
from proxy.lab.audio import PHONE_HZ
from proxy.ua.bindings import MAX_CONTACTS
from proxy.ua.private_peers import PrivatePeers
from tests.call.test_ringing import ELSEWHERE, TRUNKED
from tests.kit.edge import EDGE, HOST, NewEdge, leg_ends, summary
from tests.kit.office import ALICE, BOB, an_office, has_received

INSTANCE = ';+sip.instance="<urn:uuid:1>";reg-id=1'


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_a_phone_that_registers_during_ringing_of_its_user_is_rung_too(
    new_edge: NewEdge, transport: str
) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk()
        await edge.carrier.invites()
        await desk.rings()
        await edge.time_passes(10)
        app = await office.desk("192.0.2.102", transport=transport)
        await app.answers()
        cancel = await desk.receives("CANCEL")
        assert cancel.headers.get("Reason") == ELSEWHERE
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        assert edge.caller_audio is not None
        assert edge.caller_audio.hears(PHONE_HZ)
        await edge.carrier.hangs_up()
        await app.receives("BYE")
        record = await edge.over()
        assert leg_ends(record)[1:] == [
            ("phone", "Call completed elsewhere"),
            ("phone 2", "the caller hung up"),
        ]
        await office.assert_clean()


async def test_an_unregistered_phone_joins_parallel_ringing_once_it_registers(new_edge: NewEdge) -> None:
    """Destinations ring in parallel: the call to the mobile number makes the user open the app."""
    async with an_office(new_edge, ALICE, TRUNKED, at_once=True) as office:
        edge = office.edge
        await edge.carrier.invites()
        await edge.phone.rings()
        await edge.time_passes(8)
        app = await office.desk(transport="tls")
        await app.answers()
        await edge.phone.receives("CANCEL")
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.BRIDGED, None, "plan", "caller")
        await office.assert_clean()


async def test_a_phone_that_joins_late_rings_until_the_same_ring_limit(new_edge: NewEdge) -> None:
    async with an_office(new_edge, on_failure=OnFailure.REJECT) as office:
        edge, desk = office.edge, await office.desk()
        await edge.carrier.invites()
        began = edge.now
        await desk.rings()
        await edge.time_passes(20)
        app = await office.desk("192.0.2.102")
        await app.rings()
        await edge.carrier.receives(480)
        assert 24 < edge.now - began < 26
        assert has_received(app, "CANCEL")
        await office.assert_clean()


async def test_a_caller_who_cancels_also_cancels_a_phone_that_joined_late(new_edge: NewEdge) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk()
        await edge.carrier.invites()
        await desk.rings()
        app = await office.desk("192.0.2.102")
        await app.rings()
        await edge.carrier.cancels()
        await edge.carrier.receives(487)
        for each in (desk, app):
            await each.receives("CANCEL")
        await office.assert_clean()


async def test_a_phone_that_declined_is_not_rung_again_when_it_registers_elsewhere(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ALICE, BOB, at_once=True, on_failure=OnFailure.REJECT) as office:
        edge, desk = office.edge, await office.desk(instance=INSTANCE)
        other = await office.desk("192.0.2.102", user="bob")
        await edge.carrier.invites()
        await other.rings()
        await desk.rejects(486)
        moved = await office.desk("192.0.2.109", instance=INSTANCE)
        await edge.time_passes(3)
        assert not has_received(moved, "INVITE")
        await other.rejects(486)
        await edge.carrier.receives(486)
        await office.assert_clean()


async def test_after_a_6xx_no_newly_registered_phone_joins_rfc3261_16_7(new_edge: NewEdge) -> None:
    async with an_office(new_edge, replace(ALICE, confirm=Confirmation.PRESS_1)) as office:
        edge = office.edge
        one, two = await office.desk(), await office.desk("192.0.2.102")
        await edge.carrier.invites()
        await one.answers()  # and is told who calls
        await edge.time_passes(1)
        await two.rejects(603)
        app = await office.desk("192.0.2.103")
        await edge.time_passes(1)
        assert not has_received(app, "INVITE")
        one.presses("1")
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        await office.assert_clean()


async def test_a_phone_over_its_hourly_limit_does_not_join_when_it_registers(new_edge: NewEdge) -> None:
    async with an_office(
        new_edge, ALICE, BOB, at_once=True, calls_per_destination_per_hour=1, on_failure=OnFailure.REJECT
    ) as office:
        edge, desk = office.edge, await office.desk(user="bob")
        edge.registry._context.destination_caps.charge(ALICE.uri, 1)
        await edge.carrier.invites()
        await desk.rings()
        app = await office.desk("192.0.2.102")
        await edge.time_passes(1)
        assert not has_received(app, "INVITE")
        await desk.rejects(486)
        await edge.carrier.receives(486)
        await office.assert_clean()


async def test_a_phone_that_loses_one_flow_before_it_rings_is_rung_over_its_other_flow_rfc5626_4_2(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge) as office:
        edge = office.edge
        second = await office.desk("192.0.2.109", instance=INSTANCE.replace("reg-id=1", "reg-id=2"))
        first = await office.desk(transport="tls", instance=INSTANCE)
        edge.wire.silence("192.0.2.101")
        await edge.carrier.invites()
        await edge.time_passes(1)
        for flow in edge.wire.flows():
            edge.wire.cut(flow)
        await second.answers()
        assert not has_received(first, "INVITE")
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert [leg.name for leg in record.legs] == ["caller", "phone"]
        await office.assert_clean()


@pytest.mark.parametrize(("one", "two"), [("udp", "udp"), ("tls", "tls"), ("udp", "tls"), ("tls", "udp")])
async def test_a_phone_that_is_silent_over_one_flow_rings_over_its_other_rfc5626_7(
    new_edge: NewEdge, one: str, two: str
) -> None:
    """Its NAT has dropped the newer flow, without a reset."""
    async with an_office(new_edge) as office:
        edge, one_way = office.edge, INSTANCE.replace("reg-id=1", "reg-id=2")
        other = await office.desk("192.0.2.109", transport=one, instance=one_way)
        await edge.time_passes(1)
        newest = await office.desk(transport=two, instance=INSTANCE)
        edge.wire.silence("192.0.2.101")
        began = edge.now
        await edge.carrier.invites()
        await other.answers()
        assert 3.9 < edge.now - began < 4.5
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        await other.receives("BYE")
        assert not has_received(newest, "INVITE")
        assert [leg.name for leg in (await edge.over()).legs] == ["caller", "phone"]
        await office.assert_clean()


@pytest.mark.parametrize(("one", "two"), [("udp", "udp"), ("tls", "tls"), ("udp", "tls"), ("tls", "udp")])
async def test_a_phone_whose_flow_falls_silent_in_a_call_gets_the_bye_over_its_other_flow_rfc5626_7(
    new_edge: NewEdge, one: str, two: str
) -> None:
    async with an_office(new_edge) as office:
        edge, one_way = office.edge, INSTANCE.replace("reg-id=1", "reg-id=2")
        other = await office.desk("192.0.2.109", transport=one, instance=one_way)
        await edge.time_passes(1)
        newest = await office.desk(transport=two, instance=INSTANCE)
        await edge.carrier.invites()
        await newest.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        edge.wire.silence("192.0.2.101")
        await edge.carrier.hangs_up()
        await edge.time_passes(3.9)
        assert not has_received(other, "BYE")
        await edge.time_passes(0.5)
        assert has_received(other, "BYE")
        await edge.time_passes(1)
        assert edge.core.left_over()["dialogs"] == 0  # the BYE has its response
        await office.assert_clean(faults=False)  # its other half knows no call


async def test_a_phone_that_is_only_slow_is_reached_over_the_flow_by_which_it_answers(
    new_edge: NewEdge,
) -> None:
    """It is asleep, and its other flow is dead."""
    async with an_office(new_edge) as office:
        edge, one_way = office.edge, INSTANCE.replace("reg-id=1", "reg-id=2")
        await office.desk("192.0.2.109", instance=one_way)
        await edge.time_passes(1)
        slow = await office.desk(instance=INSTANCE)
        edge.wire.silence("192.0.2.109")
        receive, arrived = slow.received, asyncio.get_running_loop()
        slow.received = lambda flow, data: arrived.call_later(5, receive, flow, data)  # type: ignore[assignment, method-assign]
        await edge.carrier.invites()
        await slow.answers()
        slow.received = receive  # type: ignore[method-assign]
        await edge.carrier.receives(200)
        await slow.receives("ACK")
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        await slow.receives("BYE")
        await office.assert_clean()


async def test_a_phone_that_is_silent_over_both_flows_is_tried_until_the_ringing_ends(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge, on_failure=OnFailure.REJECT) as office:
        edge, one_way = office.edge, INSTANCE.replace("reg-id=1", "reg-id=2")
        await office.desk("192.0.2.109", instance=one_way)
        await edge.time_passes(1)
        await office.desk(instance=INSTANCE)
        for address in ("192.0.2.101", "192.0.2.109"):
            edge.wire.silence(address)
        await edge.carrier.invites()
        began = edge.now
        await edge.carrier.receives(480)
        assert 24 < edge.now - began < 26
        await edge.time_passes(40)
        lost = [each.destination[0] for each in edge.wire.lost if each.data.startswith(b"INVITE")]
        assert {"192.0.2.101", "192.0.2.109"} == set(lost)
        await office.assert_clean()


@pytest.mark.parametrize("changed", [{}, {"behind": "10.9.9.9"}, {"behind": "10.9.9.9", "boot": "anew"}])
@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_an_unresponsive_phone_is_rung_where_it_registers_next_rfc5626_5_3(
    new_edge: NewEdge, transport: str, changed: dict[str, str]
) -> None:
    """Its connection was dead, and nothing had told us."""
    async with an_office(new_edge) as office:
        name = INSTANCE.removesuffix(";reg-id=1")
        edge, desk = office.edge, await office.desk(transport=transport, instance=name)
        edge.wire.silence("192.0.2.101")
        await edge.carrier.invites()
        await edge.time_passes(9)
        awake = await office.desk("192.0.2.109", transport=transport, of=desk, instance=name, **changed)
        woke = edge.now
        await awake.answers()
        assert edge.now - woke < 1
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        await awake.receives("BYE")
        record = await edge.over()
        assert [leg.name for leg in record.legs] == ["caller", "phone"]
        await office.assert_clean()


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_a_phone_that_left_our_network_is_called_anew_with_our_public_address(
    new_edge: NewEdge, transport: str
) -> None:
    """Its first INVITE has our private address, in Contact and SDP, which it cannot reach any more."""
    async with an_office(new_edge) as office:
        edge, at_home = office.edge, "192.168.1.5"
        peers = PrivatePeers(lambda host: EDGE if host.startswith("192.168.1.") else None)
        object.__setattr__(edge.core.advertised, "private_peers", peers)
        desk = await office.desk(at_home, transport=transport, instance=INSTANCE, behind=at_home)
        edge.wire.silence(at_home)
        await edge.carrier.invites()
        await edge.time_passes(2)
        away = await office.desk("192.0.2.109", transport=transport, of=desk, instance=INSTANCE)
        call = await away.answers()
        assert call.invite is not None
        assert call.invite.contact is not None
        assert call.invite.contact.uri.host == HOST
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        await away.receives("BYE")
        assert [leg.name for leg in (await edge.over()).legs] == ["caller", "phone"]
        await office.assert_clean()


async def test_a_phone_that_is_silent_at_home_is_called_anew_over_its_flow_from_outside(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge) as office:
        edge, at_home = office.edge, "192.168.1.5"
        peers = PrivatePeers(lambda host: EDGE if host.startswith("192.168.1.") else None)
        object.__setattr__(edge.core.advertised, "private_peers", peers)
        away = await office.desk("192.0.2.109", instance=INSTANCE.replace("reg-id=1", "reg-id=2"))
        await edge.time_passes(1)
        desk = await office.desk(at_home, instance=INSTANCE, behind=at_home)
        edge.wire.silence(at_home)
        await edge.carrier.invites()
        call = await away.rings()
        assert call.invite is not None
        assert call.invite.contact is not None
        assert call.invite.contact.uri.host == HOST
        edge.wire.silence(at_home, False)
        await edge.time_passes(10)
        assert not has_received(desk, "INVITE")
        await edge.carrier.cancels()
        await edge.carrier.receives(487)
        await away.receives("CANCEL")
        await office.assert_clean()


async def test_a_phone_whose_connection_was_lost_joins_the_ringing_when_it_registers_again(
    new_edge: NewEdge,
) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk()
        app = await office.desk("192.0.2.102", transport="tls", instance=INSTANCE)
        edge.wire.silence("192.0.2.102")
        await edge.carrier.invites()
        await desk.rings()
        for flow in edge.wire.flows():
            edge.wire.cut(flow)
        await edge.time_passes(3)
        back = await office.desk("192.0.2.109", transport="tls", instance=INSTANCE)
        await back.answers()
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert [leg.name for leg in record.legs] == ["caller", "phone", "phone 2", "phone 3"]
        assert not has_received(app, "INVITE")
        await office.assert_clean()


@pytest.mark.parametrize("named", [True, False])
async def test_a_ringing_phone_that_registers_elsewhere_is_not_rung_twice(
    new_edge: NewEdge, named: bool
) -> None:
    """It is recognised by its instance, or as the only phone whose connection was lost."""
    async with an_office(new_edge, on_failure=OnFailure.REJECT) as office:
        edge, desk = office.edge, await office.desk(transport="tls", instance=INSTANCE if named else "")
        await edge.carrier.invites()
        call = await desk.rings()
        await edge.time_passes(1)
        if not named:
            edge.wire.cut(call.flow)
            await edge.time_passes(1)
        moved = await office.desk("192.0.2.109", transport="tls", instance=INSTANCE if named else "")
        await edge.time_passes(1)
        assert not has_received(moved, "INVITE")
        await edge.carrier.cancels()
        await edge.carrier.receives(487)
        await edge.time_passes(1)
        assert has_received(moved, "CANCEL")
        await office.assert_clean(faults=False)


async def test_at_most_max_contacts_newly_registered_phones_join(new_edge: NewEdge) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk()
        await edge.carrier.invites()
        await desk.rings()
        more = [await office.desk(f"192.0.2.{150 + n}") for n in range(MAX_CONTACTS + 2)]
        await edge.time_passes(1)
        assert sum(has_received(each, "INVITE") for each in more) == MAX_CONTACTS
        await edge.carrier.cancels()
        await edge.carrier.receives(487)
        await edge.time_passes(1)
        await office.assert_clean()


async def test_a_phone_that_registers_after_the_call_was_answered_is_not_rung(new_edge: NewEdge) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk()
        await edge.carrier.invites()
        await desk.answers()
        await edge.carrier.receives(200)
        app = await office.desk("192.0.2.102")
        await edge.time_passes(1)
        assert not has_received(app, "INVITE")
        await edge.carrier.hangs_up()
        await office.assert_clean()


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_a_422_of_a_phone_that_moved_is_retried_at_its_new_address_rfc4028_7_3(
    new_edge: NewEdge, transport: str
) -> None:
    async with an_office(new_edge) as office:
        edge, desk = office.edge, await office.desk(transport=transport, instance=INSTANCE)
        edge.wire.silence("192.0.2.101")
        await edge.carrier.invites()
        await edge.time_passes(9)
        awake = await office.desk("192.0.2.109", transport=transport, of=desk, instance=INSTANCE)
        woke = edge.now
        await awake.rejects(422, headers=(("Min-SE", "3600"),))
        await awake.answers()
        assert edge.now - woke < 2
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        await awake.receives("BYE")
        await office.assert_clean()
