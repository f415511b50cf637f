"""Dialogs that ended lately (RFC 5407 §3.2)."""

from __future__ import annotations

from proxy.sip.dialog import DialogId
from proxy.ua.ended_dialogs import MAX_LATELY, Lately


def numbered(number: int) -> DialogId:
    return DialogId(f"call{number}", "us", "them")


def test_only_the_last_of_them_are_remembered() -> None:
    lately = Lately()
    for number in range(MAX_LATELY + 5):
        lately.add(numbered(number))
        lately.add(numbered(number))
    assert len(lately) == MAX_LATELY
    assert numbered(4) not in lately
    assert numbered(5) in lately
    assert numbered(MAX_LATELY + 4) in lately
