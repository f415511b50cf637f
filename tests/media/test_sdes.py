"""SDES key exchange: parsing, choosing and answering a=crypto lines (RFC 4568)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.media.sdes import (
    AEAD_128_GCM,
    AES_256_CM_80,
    AES_CM_128_32,
    AES_CM_128_80,
    OFFERED,
    SUITES,
    Crypto,
    CryptoRefused,
    chosen,
    fresh,
    parse,
    usable,
)

KEY = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
"""The key of an example in RFC 4568, less its MKI."""
GOOD = f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20"


def test_crypto_line_is_parsed_rfc4568_9_1():
    crypto = parse(GOOD)
    assert (crypto.tag, crypto.suite) == (1, AES_CM_128_80)
    assert len(crypto.master) == 30


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_generated_crypto_line_parses_back_equal_in_every_suite(suite):
    crypto = fresh(suite, lambda bits: (1 << bits) - 12345, 7)
    assert parse(crypto.line.removeprefix("a=crypto:")) == crypto
    assert len(crypto.master) == suite.master_bytes


def test_repr_shows_no_key():
    crypto = parse(GOOD)
    assert KEY[:6] not in repr(crypto)
    assert repr(crypto.master)[2:10] not in repr(crypto)


@pytest.mark.parametrize(
    "value",
    [
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f" 1\tAES_CM_128_HMAC_SHA1_80  inline:{KEY}|1048576 ",
        f"999999999 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^48",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=128",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} -UNHEARD_OF=3",
        "1 AEAD_AES_256_GCM inline:" + "A" * 59,
    ],
)
def test_harmless_lifetime_and_session_parameters_are_accepted_rfc4568_6_3(value):
    assert parse(value).tag


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "not understood"),
        ("1", "not understood"),
        ("x AES_CM_128_HMAC_SHA1_80 inline:" + KEY, "not understood"),
        ("1234567890 AES_CM_128_HMAC_SHA1_80 inline:" + KEY, "not understood"),
        (f"1 {KEY.replace('+', '')} inline:x", "suite of unknown name"),
        ("1 F8_128_HMAC_SHA1_80 inline:" + KEY, "suite F8_128_HMAC_SHA1_80 is not supported"),
        ("1 AES_CM_128_HMAC_SHA1_80 outline:" + KEY, "key parameters not understood"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:", "key parameters not understood"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:" + KEY[:-4], "key of 27 bytes, AES_CM_128_HMAC_SHA1_80 takes 30"),
        ("1 AES_256_CM_HMAC_SHA1_80 inline:" + KEY, "key of 30 bytes"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:" + KEY[:-3], "not in base64"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4;inline:{KEY}|2^20|2:4", "several keys"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^49", "lifetime"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|0", "lifetime"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1", "KDR"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP", "UNENCRYPTED_SRTP is not"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTCP", "UNENCRYPTED_SRTCP"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=64 UNAUTHENTICATED_SRTP", "UNAUTHENTICATED_SRTP"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} FEC_ORDER=FEC_SRTP", "FEC_ORDER"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=63", "WSH"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} inline:{KEY}", "of unknown name"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} {KEY}", "of unknown name"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=\u0663\u0663\u0663", "WSH"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}" + " -A" * 1000, "not understood"),
    ],
)
def test_unsupported_crypto_line_is_refused_without_revealing_the_key_rfc4568_6(value, why):
    with pytest.raises(CryptoRefused, match=why) as refusal:
        parse(value)
    assert KEY[:8] not in str(refusal.value)


@given(
    st.text(max_size=200) | st.from_regex(r"\d [A-Z_0-9]+ inline:[A-Za-z0-9+/=|^:;]*( \S+)*", fullmatch=True)
)
def test_any_text_is_parsed_or_refused(value):
    try:
        crypto = parse(value)
    except CryptoRefused:
        return
    assert len(crypto.master) == crypto.suite.master_bytes


def _value(tag, suite):
    return fresh(suite, lambda bits: tag, tag).line.removeprefix("a=crypto:")


def test_peer_s_order_is_kept_except_that_costly_suites_come_last_rfc4568_5_1_2():
    values = [
        _value(1, AES_256_CM_80),
        "2 UNKNOWN inline:x",
        _value(3, AES_CM_128_32),
        _value(4, AEAD_128_GCM),
    ]
    cryptos, _ = usable(values)
    assert [each.tag for each in cryptos] == [3, 4, 1]


def test_first_line_wins_for_a_repeated_tag():
    (crypto,), _ = usable([_value(1, AES_CM_128_80), _value(1, AEAD_128_GCM)])
    assert crypto.suite is AES_CM_128_80


def test_reason_for_no_usable_line_is_returned():
    assert usable([]) == ([], "no a=crypto line")
    assert usable([GOOD + "|1:1"]) == ([], "a key with an MKI is not supported")


def _offer():
    return tuple(fresh(suite, lambda bits: 5, tag) for tag, suite in enumerate(OFFERED, 1))


def test_answer_selects_one_line_of_the_offer_rfc4568_5_1_3():
    offer = _offer()
    ours, theirs = chosen([_value(2, OFFERED[1])], offer)
    assert ours is offer[1]
    assert theirs.suite is OFFERED[1]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([_value(9, AES_CM_128_80)], "crypto 9 AES_CM_128_HMAC_SHA1_80 was not offered"),
        ([_value(1, AES_CM_128_32)], "crypto 1 AES_CM_128_HMAC_SHA1_32 was not offered"),
        ([_value(1, AES_CM_128_80)] * 2, "2 a=crypto lines"),
        ([], "0 a=crypto lines"),
    ],
)
def test_answer_selecting_a_line_not_offered_is_refused_rfc4568_5_1_3(values, why):
    with pytest.raises(CryptoRefused, match=why):
        chosen(values, _offer())


def test_same_key_ignores_the_tag():
    one = Crypto(1, AES_CM_128_80, bytes(30))
    assert one.same_key(Crypto(2, AES_CM_128_80, bytes(30)))
    assert not one.same_key(Crypto(1, AES_CM_128_32, bytes(30)))
    assert not one.same_key(Crypto(1, AES_CM_128_80, b"\1" * 30))
    assert not one.same_key(None)
