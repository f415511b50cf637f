"""Effects are plain values: they compare by content."""

from __future__ import annotations

from proxy.sip.effects import Deliver, Failed, Send, TimedOut
from tests.kit.messages import invite


def test_effects_compare_by_their_message() -> None:
    assert Send(invite()) == Send(invite())
    assert Send(invite()) != Deliver(invite())
    assert Send(invite()) != Send(invite(cseq=2))
    assert TimedOut() == TimedOut()


def test_a_failure_carries_what_the_transport_said() -> None:
    error = OSError("no route")
    assert Failed(error).error is error
