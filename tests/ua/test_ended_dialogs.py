"""The memory of recently ended dialogs (RFC 5407 §3.2)."""

from __future__ import annotations

from proxy.sip.dialog import DialogId
from proxy.ua.ended_dialogs import MAX_REMEMBERED, EndedDialogs


def numbered(number: int) -> DialogId:
    return DialogId(f"call{number}", "us", "them")


def test_only_the_most_recent_ended_dialogs_are_remembered() -> None:
    ended = EndedDialogs()
    for number in range(MAX_REMEMBERED + 5):
        ended.add(numbered(number))
        ended.add(numbered(number))
    assert len(ended) == MAX_REMEMBERED
    assert numbered(4) not in ended
    assert numbered(5) in ended
    assert numbered(MAX_REMEMBERED + 4) in ended
