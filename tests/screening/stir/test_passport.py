"""PASSporTs: parsing, invalid tokens, and signatures."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from screening.contract import IdentityHeaders
from screening.stir.passport import Passport, PassportRefused, canonical, find_originator
from tests.screening.pki import ANN, BOB, CALL, CAROL, NOW, ORIGID, X5U, b64, identity, issue, shaken, token

SIGNER = issue("a carrier")
KEY = SIGNER.key.public_key()
assert isinstance(KEY, ec.EllipticCurvePublicKey)
IAT = int(NOW.timestamp())


def parsed(value: str, call: IdentityHeaders = CALL) -> Passport:
    return Passport.parse(value, call, "US")


def refused(value: str) -> str:
    with pytest.raises(PassportRefused) as caught:
        parsed(value)
    return str(caught.value)


def divert(frm: str, to: str, **claims: Any) -> dict[str, Any]:
    return {"dest": {"tn": [to]}, "div": {"tn": frm}, "iat": IAT, "orig": {"tn": ANN}, **claims}


def test_shaken_claims_are_read() -> None:
    passport = parsed(identity(token(SIGNER)))
    assert (passport.orig, passport.dests, passport.attest) == (ANN, {BOB}, "A")
    assert (passport.origid, passport.x5u, passport.iat) == (ORIGID, X5U, IAT)
    assert passport.signed_by(KEY)
    assert not passport.is_diversion


def test_a_signature_is_valid_only_for_its_key_and_text() -> None:
    good = token(SIGNER)
    header, payload, signature = good.split(".")
    other = issue("another").key.public_key()
    assert isinstance(other, ec.EllipticCurvePublicKey)
    assert not parsed(good).signed_by(other)
    changed = b64(shaken("B"))
    assert not parsed(f"{header}.{changed}.{signature}").signed_by(KEY)
    zero = base64.urlsafe_b64encode(bytes(64)).rstrip(b"=").decode()  # CVE-2022-21449
    assert not parsed(f"{header}.{payload}.{zero}").signed_by(KEY)


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=64, max_size=64))
def test_signatures_are_valid_exactly_if_pyjwt_accepts_them(signature: bytes) -> None:
    text = token(SIGNER).rpartition(".")[0]
    passport = parsed(f"{text}.{b64(signature)}")
    try:
        jwt.PyJWS().decode(f"{text}.{b64(signature)}", KEY, algorithms=["ES256"])
        held = True
    except jwt.InvalidTokenError:
        held = False
    assert passport.signed_by(KEY) is held


RFC_KEY = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8HNbQd/TmvCKwPKHkMF9fScavGeH
78YTU8qLS8I5HLHSSmlATLcslQMhNC/OhlWBYC626nIlo7XeebYS7Sb37g==
-----END PUBLIC KEY-----
"""
RFC_HEADER = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9"
)


def test_the_example_token_of_rfc8225_appendix_a_is_read() -> None:
    claims = (
        "eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6MTQ3MTM3NTQxOCwib3JpZyI6ey"
        "J0biI6IjEyMTU1NTUxMjEyIn19"
    )
    signature = "VLBCIVDCaeK6M4hLJb6SHQvacAQVvoiiEOWQ_iUkqk79UD81fHQ0E1b3_GluIkba7UWYRM47ZbNFdOJquE35cw"
    passport = parsed(f"{RFC_HEADER}.{claims}.{signature}")
    assert (passport.orig, passport.dests) == ("12155551212", {"sip:alice@example.com"})
    assert (passport.iat, passport.x5u) == (1471375418, "https://cert.example.org/passport.cer")
    # The RFC's signature matches no key printed there; that of its last draft does (but has iat as text).
    key = load_pem_public_key(RFC_KEY)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert not passport.signed_by(key)
    drafted = (
        "eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6IjE0NDMyMDgzNDUiLCJvcmlnIj"
        "p7InRuIjoiMTIxNTU1NTEyMTIifX0"
    )
    its = "rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYsojNCpTzO3QfPOlckGaS6hEck7w"
    assert refused(f"{RFC_HEADER}.{drafted}.{its}") == "no time of signing"
    raw = base64.urlsafe_b64decode(its + "==")
    assert replace(passport, signing_inputs=(f"{RFC_HEADER}.{drafted}",), signature=raw).signed_by(key)


@pytest.mark.parametrize("kind", ["tn", "uri"])
def test_the_compact_form_is_completed_from_the_sip_headers(kind: str) -> None:
    dest = {"tn": [BOB]} if kind == "tn" else {"uri": ["sip:bob@example.com"]}
    call = replace(CALL, dests=("+" + CAROL, "+1 415 555 1234" if kind == "tn" else "sip:bob@Example.COM"))
    claims = json.dumps({"dest": dest, "iat": IAT, "orig": {"tn": ANN}}, separators=(",", ":")).encode()
    header = {"alg": "ES256", "typ": "passport", "x5u": X5U}
    text = f"{b64(json.dumps(header, separators=(',', ':')).encode())}.{b64(claims)}"
    key = SIGNER.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = b64(jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(text.encode(), key))
    short = f"..{signature};info=<{X5U}>;alg=ES256"
    assert parsed(short, call).signed_by(KEY)
    assert not parsed(short, replace(call, date=NOW + timedelta(seconds=1))).signed_by(KEY)
    assert not parsed(short, replace(call, origs=("+" + CAROL,))).signed_by(KEY)
    with pytest.raises(PassportRefused, match="without a Date"):
        parsed(short, replace(call, date=None))
    assert refused(f"{short};ppt=shaken") == "the short form of a token with claims of its own"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (token(SIGNER, algorithm="none"), "the algorithm is not ES256"),
        (token(SIGNER, algorithm="HS256"), "the algorithm is not ES256"),
        (identity(token(SIGNER)).replace("alg=ES256", "alg=RS256"), "the algorithm is not ES256"),
        (token(SIGNER, typ="JWT"), "not a token for calls"),
        (token(SIGNER, crit=["exp"]), "not a token for calls"),
        (token(SIGNER, ppt="rph"), "an unsupported type of token"),
        (token(SIGNER, ppt=["shaken"]), "an unsupported type of token"),
        (token(SIGNER, x5u=None, jku=X5U, jwk={"kty": "EC"}), "no certificate is named"),
        (token(SIGNER, x5u=[X5U]), "no certificate is named"),
        (
            identity(token(SIGNER), info="https://other"),
            "the header names another certificate than the token",
        ),
        (token(SIGNER, shaken("D")), "no attestation"),
        (token(SIGNER, shaken(["A"])), "no attestation"),  # type: ignore[arg-type]
        (token(SIGNER, shaken(iat="1")), "no time of signing"),
        (token(SIGNER, shaken(iat=True)), "no time of signing"),
        (token(SIGNER, shaken(iat=1e300)), "no time of signing"),
        (token(SIGNER, shaken(iat=None)), "no time of signing"),
        (token(SIGNER, shaken(orig={"tn": ""})), "a caller that cannot be read"),
        (token(SIGNER, shaken(orig=ANN)), "a caller that cannot be read"),
        (token(SIGNER, shaken(dest={})), "nobody is called"),
        (token(SIGNER, shaken(dest=[BOB])), "a called party that cannot be read"),
        (token(SIGNER, b"[" * 5000), "not in JSON"),
        (token(SIGNER, b'{"iat":1,"iat":2}'), "not in JSON"),
        (token(SIGNER, b"[]"), "not in JSON"),
        (token(SIGNER, b"\xff"), "not in JSON"),
        (token(SIGNER, b'{"iat":' + b"9" * 5000 + b"}"), "not in JSON"),
        (token(SIGNER, shaken(x="y" * 8192)), "the token is too long"),
        ("x" * 1_000_000, "the token is too long"),
        (f"..{'A' * 86};info=<https://a/\udcd6>", "the token is not ASCII"),
        ("a.b", "not a token of three parts"),
        ("a.b.c.d", "not a token of three parts"),
        ("", "not a token of three parts"),
        ("!.!.!", "not in base64url"),
        ("a.a.a", "not in base64url"),
        (token(SIGNER).rpartition(".")[0] + "." + b64(b"x" * 63), "the signature is not one of ES256"),
        (token(SIGNER).rpartition(".")[0] + ".", "the signature is not one of ES256"),
        (token(SIGNER, ppt="div"), "a caller that cannot be read"),
        ('"c2ln";info=<https://x>;alg=rsa-sha1', "the algorithm is not ES256"),  # RFC 4474
    ],
)
def test_an_invalid_token_is_refused_with_the_reason(value: str, why: str) -> None:
    assert refused(value) == why


def test_an_unsupported_ppt_is_unknown_not_failed() -> None:
    with pytest.raises(PassportRefused) as caught:
        parsed(token(SIGNER, ppt="rcd"))
    assert caught.value.result == "unknown"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_arbitrary_text_is_parsed_or_refused(text: str) -> None:
    for value in (text, f"{text}.{text}.{text}", f"..{text};info=<{text}>"):
        with suppress(PassportRefused):
            assert parsed(value).dests


@pytest.mark.parametrize(
    ("party", "expected"),
    [
        ("+1 (415) 555-0100", ANN),
        ("4155550100", ANN),
        ("+14155550100", ANN),
        ("sip:alice@EXAMPLE.com:5060;user=ip?x=y", "sip:alice@example.com"),
        ("SIPS:Alice@example.com", "sips:Alice@example.com"),
        ("+4930 123456", "4930123456"),
        ("*69", "*69"),
    ],
)
def test_numbers_and_uris_are_compared_in_canonical_form(party: str, expected: str) -> None:
    assert canonical(party, "US") == expected


def test_a_token_is_fresh_within_a_minute_either_way() -> None:
    passport = parsed(token(SIGNER))
    for seconds, expected in ((-61, False), (-60, True), (0, True), (60, True), (61, False)):
        assert passport.fresh(NOW + timedelta(seconds=seconds)) is expected


def test_a_token_must_match_the_caller_and_the_called_party() -> None:
    good = parsed(token(SIGNER))
    assert find_originator([good], CALL, "US") == (good, False)
    assert find_originator([good], replace(CALL, origs=("sip:a@b", "4155550100")), "US") == (good, False)
    with pytest.raises(PassportRefused, match="another caller"):
        find_originator([good], replace(CALL, origs=("+" + CAROL,)), "US")
    with pytest.raises(PassportRefused, match="another called party"):
        find_originator([good], replace(CALL, dests=("+" + CAROL,)), "US")


def test_a_diverted_call_requires_a_complete_chain_of_div_tokens() -> None:
    to_carol = replace(CALL, dests=("+" + CAROL,))
    first, between = parsed(token(SIGNER)), "14155550177"
    one = parsed(token(SIGNER, divert(BOB, between), ppt="div"))
    two = parsed(token(SIGNER, divert(between, CAROL), ppt="div"))
    assert find_originator([two, first, one], to_carol, "US") == (first, True)
    for missing in ([first, two], [one, two], [first, one]):
        with pytest.raises(PassportRefused):
            find_originator(missing, to_carol, "US")
    circle = parsed(token(SIGNER, divert(CAROL, CAROL), ppt="div"))
    with pytest.raises(PassportRefused):
        find_originator([circle], to_carol, "US")


def test_a_nested_token_in_div_o_is_kept_as_text() -> None:
    inner = token(SIGNER)
    outer = parsed(token(SIGNER, divert(BOB, CAROL, opt=inner), ppt="div-o"))
    assert outer.opt == inner
    assert Passport.parse_full(inner).orig == ANN
