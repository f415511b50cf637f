from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screening.token import TokenMint, TokenRefused

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = b"k" * 32


def mint(key: bytes = KEY) -> TokenMint:
    return TokenMint(key, lambda size: bytes(range(size)), lifetime_s=60)


def test_a_token_opens_to_the_nonce_it_was_made_with() -> None:
    assert mint().open(mint().mint(NOW), NOW) == bytes(range(16))


def test_a_token_has_only_characters_valid_in_a_sip_header() -> None:
    token = mint().mint(NOW)
    assert token.isascii()
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    assert len(token) == 32 + 1 + 43


@pytest.mark.parametrize(("after_s", "good"), [(0, True), (59, True), (60, True), (61, False), (-10, True)])
def test_a_token_expires(after_s: float, good: bool) -> None:
    token, later = mint().mint(NOW), NOW + timedelta(seconds=after_s)
    if good:
        assert mint().open(token, later)
        return
    with pytest.raises(TokenRefused, match="expired"):
        mint().open(token, later)


def test_a_token_of_another_key_is_refused() -> None:
    with pytest.raises(TokenRefused, match="not signed by us"):
        mint().open(mint(b"x" * 32).mint(NOW), NOW)


def test_an_expiry_cannot_be_changed() -> None:
    signed, dot, signature = mint().mint(NOW).partition(".")
    changed = signed[:-2] + ("AA" if signed[-2:] != "AA" else "BB")
    with pytest.raises(TokenRefused, match="not signed by us"):
        mint().open(changed + dot + signature, NOW)


@pytest.mark.parametrize(
    "text", ["", ".", "abc", "a.b", "ä.ö", "=.=", "A" * 32, f"{'A' * 32}.", "A" * 31 + ".AA"]
)
def test_a_malformed_token_is_refused(text: str) -> None:
    with pytest.raises(TokenRefused):
        mint().open(text, NOW)


@settings(max_examples=100)
@given(st.text(max_size=90))
def test_arbitrary_text_is_refused_as_a_token(text: str) -> None:
    with pytest.raises(TokenRefused):
        mint().open(text, NOW)


def test_equivalent_base64_spellings_of_a_token_give_the_same_nonce() -> None:
    token = mint().mint(NOW)
    last = token[-1]
    twins = [
        token[:-1] + other for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    ]
    opened = set()
    for twin in twins:
        try:
            opened.add(mint().open(twin, NOW))
        except TokenRefused:
            assert twin[-1] != last
    assert opened == {bytes(range(16))}


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        mint(b"short")
