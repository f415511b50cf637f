"""The memory of recently ended dialogs (RFC 5407 §3.2)."""

from __future__ import annotations

from proxy.sip.dialog import DialogId
from proxy.ua.ended_dialogs import MAX_REMEMBERED, EndedDialogs


def numbered(number: int) -> DialogId:
    return DialogId(f"call{number}", "us", "them")


def test_only_the_last_of_them_are_remembered() -> None:
    lately = EndedDialogs()
    for number in range(MAX_REMEMBERED + 5):
        lately.add(numbered(number))
        lately.add(numbered(number))
    assert len(lately) == MAX_REMEMBERED
    assert numbered(4) not in lately
    assert numbered(5) in lately
    assert numbered(MAX_REMEMBERED + 4) in lately
