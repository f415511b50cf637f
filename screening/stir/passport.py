"""PASSporTs: signed claims that a call is from one number to another (RFC 8224, 8225, 8588, 8946).

Pure: text in, claims or `PassportRefused` out. The signature is checked with the key of a certificate that
the caller of this module has fetched and validated.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from screening.callers.numbering import normalize
from screening.contract import Attest, IdentityHeaders

MAX_CHARS = 8192
"""Maximum characters of an Identity header."""
FRESH_S = 60.0
"""Maximum difference of ``iat`` from our clock (RFC 8224 §6.2 step 4, ATIS-1000074)."""
MAX_DESTS = 10
MAX_PARAMETERS = 16
SIGNATURE_BYTES = 64
SUPPORTED_PPT = (None, "shaken", "div", "div-o")
"""Supported PASSporT types (``ppt``); None is the base type of RFC 8225."""

_PARAMETER = re.compile(r'\s*;\s*([A-Za-z0-9-]+)\s*=\s*(<[^>]*>|"[^"]*"|[^;\s]*)')
_BASE64 = re.compile(r"[A-Za-z0-9_-]*").fullmatch
_ORIGID = re.compile(r"[A-Za-z0-9._:-]{1,64}").fullmatch
_NOT_DIALLED = re.compile(r"[^0-9*#]")
_URI = re.compile(r"(sips?):([^@;?]{1,128})@([^;?:]{1,253})(?::\d+)?(?:[;?].*)?", re.IGNORECASE | re.DOTALL)

Result = Literal["failed", "unknown"]


class PassportRefused(Exception):
    """The token is not acceptable; the message says why, without any number."""

    def __init__(self, why: str, result: Result = "failed") -> None:
        super().__init__(why)
        self.result: Result = result


@dataclass(frozen=True, slots=True)
class Passport:
    """The claims of one token."""

    signing_inputs: tuple[str, ...]
    """The possible signing inputs, ``header.payload``; the compact form may leave several."""
    signature: bytes
    x5u: str
    """URL of the signer's certificate."""
    ppt: str | None
    iat: float
    """Time of signing, in seconds since 1970."""
    orig: str
    """The originating identity, in `canonical` form, as are `dests` and `div`."""
    dests: frozenset[str]
    div: str | None = None
    """The original destination, for a forwarded call (RFC 8946)."""
    attest: Attest | None = None
    origid: str | None = None
    opt: str | None = None
    """A nested token: that of the call before it was forwarded (RFC 8946 §5)."""

    @classmethod
    def parse(cls, value: str, signed: IdentityHeaders, country: str) -> Passport:
        """Parse one Identity value, in the full or the compact form (RFC 8224 §4.1)."""
        if len(value) >= MAX_CHARS:
            raise PassportRefused("the token is too long")
        if not value.isascii():
            raise PassportRefused("the token is not ASCII")
        digest, params = _params(value)
        if params.get("alg", "ES256") != "ES256":
            raise PassportRefused("the algorithm is not ES256")
        info = params.get("info", "")
        if digest.startswith(".."):
            return _from_compact_form(digest[2:], info, params.get("ppt"), signed, country)
        found = cls.parse_full(digest)
        if info and info != found.x5u:
            raise PassportRefused("the header names another certificate than the token")
        return found

    @classmethod
    def parse_full(cls, token: str) -> Passport:
        """Parse a token in the full form, without the header parameters."""
        parts = token.split(".")
        if len(parts) != 3:
            raise PassportRefused("not a token of three parts")
        header, claims = _json_object(parts[0]), _json_object(parts[1])
        if header.get("alg") != "ES256":
            raise PassportRefused("the algorithm is not ES256")
        if header.get("typ") != "passport" or "crit" in header or "b64" in header:
            raise PassportRefused("not a token for calls")
        ppt = header.get("ppt")
        if ppt not in SUPPORTED_PPT:
            raise PassportRefused("an unsupported type of token", "unknown")
        x5u = header.get("x5u")
        if not isinstance(x5u, str):
            raise PassportRefused("no certificate is named")
        return cls(
            (f"{parts[0]}.{parts[1]}",), _signature(parts[2]), x5u, ppt,
            _time(claims.get("iat")), _party(claims.get("orig")), _parties(claims.get("dest")),
            _party(claims.get("div")) if ppt in ("div", "div-o") else None,
            _attest(claims.get("attest")) if ppt == "shaken" else None,
            _origid(claims.get("origid")), _text(claims.get("opt")) if ppt == "div-o" else None,
        )  # fmt: skip

    @property
    def is_diversion(self) -> bool:
        """Whether it was signed by somebody who forwarded the call."""
        return self.ppt in ("div", "div-o")

    def fresh(self, now: datetime) -> bool:
        return abs(now.timestamp() - self.iat) <= FRESH_S

    def signed_by(self, key: EllipticCurvePublicKey) -> bool:
        """Whether this key made the signature (RFC 7518 §3.4)."""
        r, s = (int.from_bytes(half) for half in (self.signature[:32], self.signature[32:]))
        for text in self.signing_inputs:
            try:
                key.verify(encode_dss_signature(r, s), text.encode("ascii"), ECDSA(SHA256()))
            except InvalidSignature:
                continue
            return True
        return False


def find_originator(
    passports: Sequence[Passport], signed: IdentityHeaders, country: str
) -> tuple[Passport, bool]:
    """Return the token of the call's originator, and whether the call was forwarded to us (RFC 8946 §4.2).

    From the called number backwards, each ``div`` leads to the number before it. Raises `PassportRefused`.
    """
    origs = {canonical(each, country) for each in signed.origs}
    wanted: Collection[str] = {canonical(each, country) for each in signed.dests}
    ours = [each for each in passports if each.orig in origs]
    if not ours:
        raise PassportRefused("it was signed for another caller")
    diverted = False
    while True:
        meant = [each for each in ours if not each.dests.isdisjoint(wanted)]
        if found := next((each for each in meant if not each.is_diversion), None):
            return found, diverted
        link = next((each for each in meant if each.div is not None), None)
        if link is None or link.div is None:
            why = (
                "how the call came to us is not signed"
                if diverted
                else "it was signed for another called party"
            )
            raise PassportRefused(why)
        ours.remove(link)
        wanted, diverted = {link.div}, True


def canonical(party: str, country: str) -> str:
    """Canonicalise a number as in a token, or a URI for comparison (RFC 8224 §8.3, §8.5)."""
    if (uri := _uri(party)) is not None:
        return uri
    return _NOT_DIALLED.sub("", normalize(party, country))


def _uri(text: str) -> str | None:
    parts = _URI.fullmatch(text)
    return f"{parts[1].lower()}:{parts[2]}@{parts[3].lower()}" if parts else None


def _params(value: str) -> tuple[str, dict[str, str]]:
    digest, semicolon, rest = value.strip().partition(";")
    params: dict[str, str] = {}
    place, text = 0, semicolon + rest
    for _ in range(MAX_PARAMETERS):
        if (found := _PARAMETER.match(text, place)) is None:
            break
        params.setdefault(found[1].lower(), found[2].strip('<>"'))
        place = found.end()
    return digest.strip(), params


def _from_compact_form(
    signature: str, info: str, ppt: str | None, signed: IdentityHeaders, country: str
) -> Passport:
    """Build the token of a compact form from the call's headers (RFC 8224 §4.1, RFC 8225 §7).

    Only the base type can be compact here.
    """
    if ppt is not None:
        raise PassportRefused("the short form of a token with claims of its own")
    if signed.date is None:
        raise PassportRefused("the short form of a token without a Date")
    iat = int(signed.date.timestamp())
    header = _encoded({"alg": "ES256", "typ": "passport", "x5u": info})
    pairs = [(one, other) for one in signed.origs[:4] for other in signed.dests[:4]]
    signing_inputs = tuple(f"{header}.{_encoded(_claims(*pair, iat, country))}" for pair in pairs)
    if not signing_inputs:
        raise PassportRefused("a call from nobody")
    dests = frozenset(canonical(each, country) for each in signed.dests)
    return Passport(
        signing_inputs,
        _signature(signature),
        info,
        None,
        float(iat),
        canonical(signed.origs[0], country),
        dests,
    )


def _claims(orig: str, dest: str, iat: int, country: str) -> dict[str, Any]:
    kinds = ["uri" if _uri(each) is not None else "tn" for each in (orig, dest)]
    return {
        "dest": {kinds[1]: [canonical(dest, country)]},
        "iat": iat,
        "orig": {kinds[0]: canonical(orig, country)},
    }


def _encoded(claims: Mapping[str, Any]) -> str:
    text = json.dumps(claims, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    raw = text.encode("utf-8", "surrogateescape")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    if _BASE64(text) is None:
        raise PassportRefused("not in base64url")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise PassportRefused("not in base64url") from None


def _signature(text: str) -> bytes:
    signature = _decoded(text)
    if len(signature) != SIGNATURE_BYTES:
        raise PassportRefused("the signature is not one of ES256")
    return signature


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(_decoded(text).decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        raise PassportRefused("not in JSON") from None
    if not isinstance(found, dict):
        raise PassportRefused("not in JSON")
    return found


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise PassportRefused("no time of signing")
    return float(value)


def _party(value: object) -> str:
    """``{"tn": "1…"}`` or ``{"uri": "sip:…"}``."""
    if isinstance(value, dict):
        match value:
            case {"tn": str(number)} if found := _NOT_DIALLED.sub("", number[:64]):
                return found
            case {"uri": str(uri)}:
                return _uri(uri) or uri
    raise PassportRefused("a caller that cannot be read")


def _parties(value: object) -> frozenset[str]:
    if not isinstance(value, dict):
        raise PassportRefused("a called party that cannot be read")
    listed = [(kind, each) for kind in ("tn", "uri") for each in _as_list(value.get(kind))]
    if not listed:
        raise PassportRefused("nobody is called")
    return frozenset(_party({kind: each}) for kind, each in listed[:MAX_DESTS])


def _as_list(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _attest(value: object) -> Attest:
    if value not in ("A", "B", "C"):
        raise PassportRefused("no attestation")
    return value


def _origid(value: object) -> str | None:
    return value if isinstance(value, str) and _ORIGID(value) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
