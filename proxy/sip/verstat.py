"""verstat: the result of the carrier's verification of the caller's number, in every form it is sent.

    X-Twilio-VerStat: TN-Validation-Passed-A                  Twilio
    P-Asserted-Identity: <sip:+1…@host;verstat=…>             3GPP TS 24.229, Telnyx, Flowroute
    P-Asserted-Identity: <sip:+1…;verstat=…@host>             Bandwidth, in the number's own parameters
    P-Asserted-Identity: <sip:+1…@host>;verstat=…             Bandwidth, as a header parameter
    From: <sip:+1…@host;verstat=…>                            without an asserted identity: Flowroute
    P-Attestation-Indicator: A, P-Origination-ID: …           ATIS-1000082, Bandwidth
    X-Plivo-Stir-Verification: Verified                       Plivo

Nothing here raises: a malformed value counts as absent. Whether to trust the result is up to the code that
calls this, which knows which peer sent it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from proxy.sip.grammar import QUOTED
from proxy.sip.headers import Headers

MAX_READ = 4
"""Values of one header that are read; there may be one or two (RFC 3325 §9.1)."""
LONGEST = 1024
"""Characters of a value that are read."""

_PARAMETER = re.compile(r";[\s;]*verstat\s*=\s*\"?([A-Za-z0-9-]{1,64})", re.IGNORECASE).search
_QUOTED = re.compile(QUOTED, re.DOTALL)
_WORD = re.compile(
    r"(?:TN-(?:Validation|Verification)-(Passed|Failed)(?:-([ABC]))?|(No-TN-Validation))"
    r"(?:-(Diverted|Passthrough))?",
    re.IGNORECASE,
).fullmatch
_ORIGID = re.compile(r"[A-Za-z0-9._:-]{1,64}").fullmatch
_TELNYX = re.compile(r"@[a-z0-9.-]*\btelnyx\.com\b", re.IGNORECASE).search
_PLIVO = {"verified": "passed", "not verified": "unknown", "not applicable": "none"}
_ATTESTATION_HEADERS = frozenset(
    (
        "x-twilio-verstat", "p-asserted-identity", "x-plivo-stir-verification", "p-attestation-indicator",
        "priority", "resource-priority", "identity",
    )
)  # fmt: skip
_WORST_FIRST = ("failed", "unknown", "none", "passed")


@dataclass(frozen=True, slots=True)
class Verstat:
    """The result of a carrier's verification."""

    result: str
    """`passed`, `failed`, `none` (not signed) or `unknown`."""
    attest: str | None = None
    """The attestation level `A`, `B` or `C`; None if not given."""
    diverted: bool = False
    origid: str | None = None
    """The signer's opaque origination identifier; only the originating carrier can resolve it."""

    @classmethod
    def of(cls, headers: Headers) -> Verstat | None:
        """From the headers of an INVITE; the worst result if they disagree, None if they have none.

        `From` counts only if no asserted identity has a result.
        """
        found = list(_found(headers))
        if not found:
            return None
        worst = min(found, key=lambda each: _WORST_FIRST.index(each.result))
        attest = worst.attest or _attest(headers.get("P-Attestation-Indicator"))
        return replace(worst, attest=attest, origid=_origid(headers.get("P-Origination-ID")))

    @classmethod
    def parse(cls, word: str) -> Verstat:
        """From one value of `verstat`; the result of an unrecognised value is `unknown`."""
        said = _WORD(word.strip())
        if said is None:
            return _UNKNOWN
        result, attest, _, more = said.groups()
        return cls(result.lower() if result else "none", attest and attest.upper(), more is not None)


_UNKNOWN = Verstat("unknown")


def _found(headers: Headers) -> Iterator[Verstat]:
    if (twilio := headers.get("X-Twilio-VerStat")) is not None:
        yield Verstat.parse(twilio[:LONGEST])
    asserted = [found for each in _values(headers, "P-Asserted-Identity") if (found := _in_address(each))]
    yield from asserted or filter(None, map(_in_address, _values(headers, "From")))
    if (plivo := headers.get("X-Plivo-Stir-Verification")) is not None:
        result = _PLIVO.get(" ".join(plivo[:LONGEST].lower().split()), "unknown")
        yield Verstat(result, "A" if result == "passed" else None)
    if (
        "p-attestation-indicator" in headers.first
        and not asserted
        and "x-twilio-verstat" not in headers.first
    ):
        # ATIS-1000082 sends this for a signed call; without verstat nothing says it was verified.
        yield _UNKNOWN


def _values(headers: Headers, name: str) -> list[str]:
    line = headers.get(name)
    if line is None or (len(headers.get_all(name)) == 1 and "erstat" not in line.lower()):
        return []
    return headers.split(name)[:MAX_READ]


def _in_address(value: str) -> Verstat | None:
    """The verstat parameter of one address, anywhere but in the display name, which the caller chooses."""
    value = value[:LONGEST]
    start = _QUOTED.sub(lambda quoted: "_" * len(quoted[0]), value).find("<") + 1
    if '"' in _QUOTED.sub("", value[:start]):
        return None
    said = _PARAMETER(address := value[start:])
    if said is None:
        return None
    found = Verstat.parse(said[1])
    if found.result == "passed" and found.attest is None and _TELNYX(address):
        return replace(found, attest="A")  # Telnyx sends a letter for B and C, none for A
    return found


def _attest(text: str | None) -> str | None:
    letter = (text or "").strip().upper()
    return letter if letter in ("A", "B", "C") else None


def _origid(text: str | None) -> str | None:
    origid = (text or "").strip()
    return origid if _ORIGID(origid) else None


def has_no_attestation(headers: Headers) -> bool:
    """Whether there is no verification result, signature or priority header, as in nearly every INVITE."""
    return (
        _ATTESTATION_HEADERS.isdisjoint(headers.first)
        and "erstat" not in headers.first.get("from", "").lower()
    )


def is_emergency_callback(headers: Headers) -> bool:
    """Whether the call is marked as a callback from an emergency service.

    Either by `Priority: psap-callback` (RFC 7090 §5), or by a Resource-Priority in the `esnet` namespace
    (RFC 7135, RFC 9027 §6).
    """
    priority = headers.get("Priority")
    if priority is not None and priority.strip().lower() == "psap-callback":
        return True
    if "resource-priority" not in headers.first:
        return False
    values = headers.split("Resource-Priority")[:MAX_READ]
    return any(each.strip().lower().startswith("esnet.") for each in values)
