"""Messages of INVITEs that are not accepted as calls yet: held within bounds, the oldest are dropped."""

from __future__ import annotations

import pytest

from proxy.observe import unanswered
from proxy.observe.trace import TracedMessage
from proxy.observe.unanswered import UnansweredInvites

ENDS = ("203.0.113.10", 5060), ("192.0.2.66", 5060)


def traced(octets: bytes = b"INVITE") -> TracedMessage:
    return TracedMessage(0.0, "", False, "udp", *ENDS, octets)


def test_the_messages_of_a_call_id_are_handed_over_once_in_their_order() -> None:
    held = UnansweredInvites()
    for octets in (b"INVITE", b"401"):
        held.add("one", traced(octets))
    held.add("two", traced())
    assert "one" in held
    assert [each.octets for each in held.take("one")] == [b"INVITE", b"401"]
    assert (list(held.take("one")), len(held)) == ([], 1)


def test_only_the_first_messages_of_a_call_id_are_held() -> None:
    held = UnansweredInvites()
    for number in range(20):
        held.add("one", traced(b"%d" % number))
    assert [int(each.octets) for each in held.take("one")] == list(range(unanswered.MAX_MESSAGES))


@pytest.mark.parametrize("size", [1, 100_000])
def test_whatever_comes_only_so_much_is_held(size: int) -> None:
    held = UnansweredInvites()
    for number in range(1000):
        held.add(str(number), traced(bytes(size)))
    assert len(held) == min(unanswered.MAX_CALL_IDS, unanswered.MAX_OCTETS // size)
    assert held._octets == size * len(held)
    assert "999" in held
