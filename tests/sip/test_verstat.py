"""verstat in all the forms that carriers send."""

from __future__ import annotations

import pytest

from proxy.sip.headers import Headers
from proxy.sip.verstat import Verstat, is_emergency_callback

ANN = "+13475550148"


def verstat_of(*lines: str) -> Verstat | None:
    return Verstat.of(Headers(tuple(line.split(": ", 1)) for line in lines))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("X-Twilio-VerStat: TN-Validation-Passed-A", Verstat("passed", "A")),
        ("X-Twilio-VerStat: TN-Validation-Passed-B", Verstat("passed", "B")),
        ("X-Twilio-VerStat: TN-Validation-Passed-C-Diverted", Verstat("passed", "C", diverted=True)),
        ("X-Twilio-VerStat: TN-Validation-Passed-A-Passthrough", Verstat("passed", "A", diverted=True)),
        ("X-Twilio-VerStat: TN-Validation-Failed", Verstat("failed")),
        ("X-Twilio-VerStat: TN-Validation-Failed-A-Diverted", Verstat("failed", "A", diverted=True)),
        ("X-Twilio-VerStat: No-TN-Validation", Verstat("none")),
        ("x-twilio-verstat:  tn-validation-passed-a ", Verstat("passed", "A")),
        ("X-Twilio-VerStat: TN-Validation-Great", Verstat("unknown")),
        ("X-Twilio-VerStat: ", Verstat("unknown")),
    ],
)
def test_verstat_is_read_from_twilios_own_header(line: str, expected: Verstat) -> None:
    assert verstat_of(line) == expected


@pytest.mark.parametrize(
    "address",
    [
        f"<sip:{ANN}@example.com;verstat=TN-Validation-Passed-B>",
        f"<sip:{ANN}@example.com:5060;user=phone;verstat=TN-Validation-Passed-B;x=1>",
        f'"Ann, N." <sip:{ANN};verstat=TN-Validation-Passed-B@example.com>',
        f"<sip:{ANN};npdi;verstat=TN-Validation-Passed-B@example.com;user=phone>",
        f"Ann <sip:{ANN}@example.com>;verstat=TN-Validation-Passed-B",
        f"<sip:{ANN}@example.com>;;verstat=TN-Validation-Passed-B",
        f"<sip:{ANN}@example.com>; ; verstat = TN-Validation-Passed-B;",
        f'<sip:{ANN}@example.com>;verstat="TN-Validation-Passed-B"',
        f"<tel:{ANN};verstat=TN-Validation-Passed-B>",
        f"tel:{ANN};VERSTAT=tn-validation-passed-b",
        f"<sip:{ANN}@example.com>, <tel:{ANN};verstat=TN-Validation-Passed-B>",
    ],
)
@pytest.mark.parametrize("header", ["P-Asserted-Identity", "From"])
def test_verstat_is_found_in_every_place_carriers_put_it(header: str, address: str) -> None:
    assert verstat_of(f"{header}: {address}") == Verstat("passed", "B")


@pytest.mark.parametrize(
    "address",
    [
        f'";verstat=TN-Validation-Passed-A" <sip:{ANN}@example.com>',
        f'"a\\";verstat=TN-Validation-Passed-A" <sip:{ANN}@example.com>',
        f"x;verstat=TN-Validation-Passed-A <sip:{ANN}@example.com>",
        f'"<;verstat=TN-Validation-Passed-A <sip:{ANN}@example.com>',
        f"<sip:{ANN}@example.com;averstat=TN-Validation-Passed-A>",
        f"<sip:{ANN}%3Bverstat=TN-Validation-Passed-A@example.com>",
    ],
)
def test_a_verstat_inside_a_display_name_or_escape_is_ignored(address: str) -> None:
    assert verstat_of(f"P-Asserted-Identity: {address}") is None
    assert verstat_of(f"From: {address}") is None


def test_telnyx_passed_without_a_letter_means_attestation_a() -> None:
    line = "P-Asserted-Identity: <sip:+1@sip.telnyx.com;verstat=TN-Validation-Passed{}>"
    assert verstat_of(line.format("")) == Verstat("passed", "A")
    assert verstat_of(line.format("-B")) == Verstat("passed", "B")
    assert verstat_of(line.format("").replace("telnyx", "telnix")) == Verstat("passed")
    assert verstat_of(line.format("").replace("Passed", "Failed")) == Verstat("failed")


def test_bandwidths_attestation_and_origid_are_read_from_its_own_headers() -> None:
    origin = "P-Origination-ID: 8a9d1f3e-5f2b-4b83-9a67-0a1b2c3d4e5f"
    asserted = f"P-Asserted-Identity: <sip:{ANN};verstat=TN-Validation-Passed@example.com>"
    found = verstat_of(asserted, "P-Attestation-Indicator: B", origin)
    assert found == Verstat("passed", "B", origid=origin.partition(": ")[2])
    assert verstat_of("P-Attestation-Indicator: A", origin) == Verstat(
        "unknown", "A", origid=origin.partition(": ")[2]
    )
    assert verstat_of(asserted, "P-Attestation-Indicator: Q", "P-Origination-ID: <script>") == Verstat(
        "passed"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Verified", Verstat("passed", "A")),
        ("Not Verified", Verstat("unknown")),  # B, C or not signed at all: no failure
        ("Not  applicable", Verstat("none")),
        ("Maybe", Verstat("unknown")),
    ],
)
def test_plivos_verification_header_is_mapped_to_a_verstat(value: str, expected: Verstat) -> None:
    assert verstat_of(f"X-Plivo-Stir-Verification: {value}") == expected


def test_a_message_without_verstat_gives_none() -> None:
    assert verstat_of() is None
    assert verstat_of(f"P-Asserted-Identity: <sip:{ANN}@example.com>", "From: <sip:a@b>;tag=1") is None
    assert verstat_of("Identity: a.b.c;info=<https://example.com/c.pem>") is None


def test_p_asserted_identity_precedes_from_and_the_worst_verstat_counts() -> None:
    good = "<sip:+1@example.com;verstat=TN-Validation-Passed-A>"
    bad = "<sip:+1@example.com;verstat=TN-Validation-Failed>"
    assert verstat_of(f"P-Asserted-Identity: {good}", f"From: {bad}") == Verstat("passed", "A")
    assert verstat_of(f"P-Asserted-Identity: {good}, {bad}") == Verstat("failed")
    assert verstat_of("X-Twilio-VerStat: No-TN-Validation", f"P-Asserted-Identity: {good}") == Verstat("none")


def test_only_the_first_few_of_many_addresses_are_searched() -> None:
    many = ["P-Asserted-Identity: <sip:+1@example.com>"] * 1000
    late = "P-Asserted-Identity: <sip:+1@example.com;verstat=TN-Validation-Failed>"
    assert verstat_of(*many, late) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Priority: psap-callback", True),
        ("Priority: PSAP-Callback ", True),
        ("Priority: emergency", False),
        ("Resource-Priority: esnet.0", True),
        ("Resource-Priority: wps.3, ESNET.1", True),
        ("Resource-Priority: dsn.flash", False),
        ("Resource-Priority: esnetx.1", False),
        ("Subject: psap-callback", False),
    ],
)
def test_emergency_callbacks_are_recognised_by_priority_headers(line: str, expected: bool) -> None:
    assert is_emergency_callback(Headers([tuple(line.split(": ", 1))])) is expected  # type: ignore[list-item]
