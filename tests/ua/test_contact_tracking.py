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


class AliceBindings:
    """The bindings registered for alice, each over its own connection."""

    def __init__(self, ua: UserAgent) -> None:
        self._ua = ua
        self.registered: list[Binding] = []

    def __call__(self, name: str) -> Sequence[Binding]:
        return [each for each in self.registered if not each.flow.closed]

    async def registers(self, contact: str, call_id: str) -> Flow:
        number = len(self.registered) + 1
        peer = self._ua.wire.host(f"192.0.2.{100 + number}")
        peer.start(self._ua.peer)
        flow = await peer.connect(Target("tcp", ("203.0.113.10", 5060), PEER))
        self.registered.append(Binding(NameAddr.parse(contact), flow, call_id, 1, 300.0))
        return flow

    def called(self, number: int = 0) -> ContactTracker:
        """The tracker of the binding with this index, created as its phone is called."""
        return ContactTracker(self, "alice", self.registered[number], tuple(self.registered))


@pytest.fixture
def bindings(ua: UserAgent) -> AliceBindings:
    return AliceBindings(ua)


async def test_the_flow_is_the_called_one_until_the_same_contact_registers_again(
    bindings: AliceBindings,
) -> None:
    first = await bindings.registers(DESK, "boot 1")
    tracker = bindings.called()
    assert tracker(first) is first
    again = await bindings.registers(DESK, "boot 2")
    del bindings.registered[0]
    assert tracker(first) is again


async def test_a_new_contact_with_the_same_call_id_is_the_same_phone_rfc3261_10_2(
    bindings: AliceBindings,
) -> None:
    first = await bindings.registers(DESK, "boot 1")
    tracker = bindings.called()
    moved = await bindings.registers(MOVED, "boot 1")
    del bindings.registered[0]
    assert tracker(first) is moved


@pytest.mark.parametrize("closed", [True, False])
async def test_a_new_binding_is_used_only_once_the_called_flow_is_closed(
    bindings: AliceBindings, closed: bool
) -> None:
    first = await bindings.registers(DESK, "boot 1")
    await bindings.registers(APP, "app")
    tracker = bindings.called()
    if closed:
        first.close()
    moved = await bindings.registers(MOVED, "boot 2")
    assert tracker(first) is (moved if closed else first)


async def test_bindings_that_existed_when_the_phone_was_called_are_other_phones(
    bindings: AliceBindings,
) -> None:
    first = await bindings.registers(DESK, "boot 1")
    await bindings.registers(APP, "app")
    tracker = bindings.called()
    first.close()
    assert tracker(first) is None
    await bindings.registers("<sip:alice@10.0.0.77>", "app")  # the other phone, from a new address
    assert tracker(first) is None


async def test_after_its_flow_closed_another_flow_of_the_same_instance_is_used_rfc5626_4_2(
    bindings: AliceBindings,
) -> None:
    one, two = (f'{DESK};+sip.instance="<urn:uuid:1>";reg-id={number}' for number in (1, 2))
    first = await bindings.registers(one, "flow 1")
    second = await bindings.registers(two, "flow 2")
    await bindings.registers(APP, "app")
    tracker = bindings.called()
    first.close()
    assert tracker(first) is second


async def test_with_two_new_bindings_neither_is_used(bindings: AliceBindings) -> None:
    first = await bindings.registers(DESK, "boot 1")
    tracker = bindings.called()
    first.close()
    await bindings.registers(APP, "app")
    await bindings.registers(MOVED, "boot 2")
    assert tracker(first) is None


def test_no_bindings_returns_none_registered() -> None:
    assert no_bindings("alice") == ()
