"""STUN Binding requests, as phones send them over UDP for keep-alive."""

from __future__ import annotations

import pytest

from proxy.transport import stun
from proxy.transport.flow import Address

ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = bytes.fromhex("000100002112a442") + ID


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        (("192.0.2.1", 32853), "0001a147e112a643"),
        (("2001:db8:1234:5678:11:2233:4455:6677", 32853), "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
    ],
)
def test_binding_response_has_the_xor_mapped_address_rfc5769_2_2_and_2_3(source: Address, seen: str) -> None:
    value = bytes.fromhex(seen)
    head = b"\x01\x01" + (len(value) + 4).to_bytes(2) + REQUEST[4:]
    assert stun.answer(REQUEST, source) == head + b"\0\x20" + len(value).to_bytes(2) + value


def test_attributes_of_a_request_are_ignored() -> None:
    software = b"\x80\x22\0\x04test"
    request = b"\0\x01\0\x08" + REQUEST[4:] + software
    assert stun.answer(request, ("192.0.2.1", 32853)) == stun.answer(REQUEST, ("192.0.2.1", 32853))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0\0",
        REQUEST[:-1],
        REQUEST + b"more",
        b"\0\x11" + REQUEST[2:],
        b"\x01\x01" + REQUEST[2:],
        REQUEST[:4] + b"\0\0\0\0" + ID,
    ],
)
def test_anything_but_a_binding_request_is_not_answered_rfc5389_6(data: bytes) -> None:
    assert stun.answer(data, ("192.0.2.1", 32853)) is None
