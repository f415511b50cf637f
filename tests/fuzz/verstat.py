"""Fuzz target for verstat: a known verdict or None, and never one taken from a display name."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.sip"]):
    from proxy.sip.headers import Headers
    from proxy.sip.verstat import Verstat, is_emergency_callback

from tests.fuzz.target import fuzz

NAMES = (
    "P-Asserted-Identity", "From", "X-Twilio-VerStat", "X-Plivo-Stir-Verification", "P-Attestation-Indicator",
    "P-Origination-ID", "Priority", "Resource-Priority",
)  # fmt: skip
SEEDS = [
    b"<sip:+1@a;verstat=TN-Validation-Passed-A>",
    b'"A;verstat=x" <sip:+1;verstat=TN-Validation-Failed@a>, <tel:+1>;;verstat="No-TN-Validation"',
    b"TN-Validation-Passed-B-Diverted",
    b"Not Verified",
    b"A",
    b"psap-callback",
    b"wps.1, esnet.0",
]


def one(data: bytes) -> None:
    value = "".join(c for c in data.decode("utf-8", "surrogateescape") if c not in "\r\n\0")
    for name in NAMES:
        headers = Headers([(name, value)])
        found = Verstat.of(headers)
        assert found is None or found.result in ("passed", "failed", "none", "unknown")
        assert found is None or found.attest in (None, "A", "B", "C")
        is_emergency_callback(headers)
    quoted = value.replace("\\", "").replace('"', "")
    assert Verstat.of(Headers([("P-Asserted-Identity", f'"{quoted}" <sip:+1@a>')])) is None


if __name__ == "__main__":
    fuzz(one, SEEDS)
