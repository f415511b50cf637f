"""Effects are plain values: they compare by content."""

from __future__ import annotations

from proxy.sip.effects import Deliver, Failed, Send, TimedOut
from tests.kit.messages import invite


def test_effects_with_equal_messages_are_equal() -> None:
    assert Send(invite()) == Send(invite())
    assert Send(invite()) != Deliver(invite())
    assert Send(invite()) != Send(invite(cseq=2))
    assert TimedOut() == TimedOut()


def test_a_failed_effect_carries_the_transport_error() -> None:
    error = OSError("no route")
    assert Failed(error).error is error
