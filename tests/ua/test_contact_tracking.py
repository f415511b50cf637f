"""Contact tracking: finding the new flow of a phone during a call, without mistaking another phone for it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from proxy.sip.values import NameAddr
from proxy.transport.flow import Flow, Target
from proxy.ua.bindings import Binding
from proxy.ua.contact_tracking import ContactTracker, no_bindings
from tests.ua.user_agent import PEER, UserAgent

DESK, APP, MOVED = "<sip:alice@192.168.1.7>", "<sip:alice@10.0.0.9>", "<sip:alice@172.16.0.3>"


class Home:
    """The bindings registered for alice, each over its own connection."""

    def __init__(self, ua: UserAgent) -> None:
        self._house = ua
        self.registered: list[Binding] = []

    def __call__(self, name: str) -> Sequence[Binding]:
        return [each for each in self.registered if not each.flow.closed]

    async def registers(self, contact: str, call_id: str) -> Flow:
        number = len(self.registered) + 1
        peer = self._house.wire.host(f"192.0.2.{100 + number}")
        peer.start(self._house.peer)
        flow = await peer.connect(Target("tcp", ("203.0.113.10", 5060), PEER))
        self.registered.append(Binding(NameAddr.parse(contact), flow, call_id, 1, 300.0))
        return flow

    def called(self, number: int = 0) -> ContactTracker:
        """The tracker of the binding with this index, created as its phone is called."""
        return ContactTracker(self, "alice", self.registered[number], tuple(self.registered))


@pytest.fixture
def home(ua: UserAgent) -> Home:
    return Home(ua)


async def test_it_is_where_it_was_called_until_it_registers_from_elsewhere(home: Home) -> None:
    first = await home.registers(DESK, "boot 1")
    desk = home.called()
    assert desk(first) is first
    again = await home.registers(DESK, "boot 2")
    del home.registered[0]
    assert desk(first) is again


async def test_with_another_contact_it_is_known_by_the_call_id_of_its_boot_rfc3261_10_2(home: Home) -> None:
    first = await home.registers(DESK, "boot 1")
    desk = home.called()
    moved = await home.registers(MOVED, "boot 1")
    del home.registered[0]
    assert desk(first) is moved


@pytest.mark.parametrize("closed", [True, False])
async def test_once_its_way_is_gone_whoever_is_new_must_be_it(home: Home, closed: bool) -> None:
    first = await home.registers(DESK, "boot 1")
    await home.registers(APP, "app")
    desk = home.called()
    if closed:
        first.close()
    moved = await home.registers(MOVED, "boot 2")
    assert desk(first) is (moved if closed else first)


async def test_those_who_were_there_when_it_was_called_are_other_phones(home: Home) -> None:
    first = await home.registers(DESK, "boot 1")
    await home.registers(APP, "app")
    desk = home.called()
    first.close()
    assert desk(first) is None
    await home.registers("<sip:alice@10.0.0.77>", "app")  # the other phone, from a new address
    assert desk(first) is None


async def test_another_flow_of_the_same_phone_serves_as_well_rfc5626_4_2(home: Home) -> None:
    one, two = (f'{DESK};+sip.instance="<urn:uuid:1>";reg-id={number}' for number in (1, 2))
    first = await home.registers(one, "flow 1")
    second = await home.registers(two, "flow 2")
    await home.registers(APP, "app")
    desk = home.called()
    first.close()
    assert desk(first) is second


async def test_of_two_that_are_new_nobody_knows_which_it_is(home: Home) -> None:
    first = await home.registers(DESK, "boot 1")
    desk = home.called()
    first.close()
    await home.registers(APP, "app")
    await home.registers(MOVED, "boot 2")
    assert desk(first) is None


def test_where_no_phone_is_configured_nobody_is_registered() -> None:
    assert no_bindings("alice") == ()
