"""Caller identity, privacy and diversion headers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.sip.headers import Headers
from proxy.sip.identity import Diversion, HistoryEntry, Privacy, asserted, parse_party, remote_party
from proxy.sip.values import NameAddr


def headers(name: str, *values: str) -> Headers:
    return Headers((name, value) for value in values)


@pytest.mark.parametrize(
    "text",
    [
        '"Ann" <sip:+13475550148@carrier.example;verstat=TN-Validation-Passed>',
        '"Ann" <sip:+13475550148@carrier.example>;verstat=TN-Validation-Passed-A',
        '"Ann" <sip:+13475550148;verstat=TN-Validation-Passed@carrier.example;user=phone>',
        '"Ann" <sip:+13475550148@carrier.example>;verstat=TN-Validation-Passed;',
        '"Ann" <sip:+13475550148@carrier.example>;;verstat=TN-Validation-Passed',
        '"Ann" <sip:+13475550148@carrier.example> verstat',
        '"Ann" <tel:+13475550148;verstat=No-TN-Validation>',
    ],
)
def test_an_address_is_parsed_wherever_verstat_is_placed(text: str) -> None:
    address = parse_party(text)
    assert address is not None
    assert address.display == "Ann"
    assert (address.uri.user or "").partition(";")[0] == "+13475550148"


@pytest.mark.parametrize("text", ["", "<>", "x", "<sip:>;verstat=1", "sip:a b@c", '"x <sip:a@b>', "a>b"])
def test_parse_party_returns_none_for_a_malformed_address(text: str) -> None:
    assert parse_party(text) is None


@given(st.text(max_size=80))
@settings(max_examples=200)
def test_any_header_value_is_read_without_an_exception(text: str) -> None:
    value = text.replace("\r", "").replace("\n", "").replace("\0", "")
    for name in ("P-Asserted-Identity", "Privacy", "Remote-Party-ID", "Diversion", "History-Info"):
        found = headers(name, value)
        assert len(asserted(found)) <= 2
        assert Privacy.of(found).withholds in (True, False)
        assert len(Diversion.all(found)) <= len(value) + 1 >= len(HistoryEntry.all(found))
        remote_party(found)


# P-Asserted-Identity.


@pytest.mark.parametrize(
    ("values", "uris"),
    [
        (["<sip:+1@a>"], ["sip:+1@a"]),
        (["<tel:+1>"], ["tel:+1"]),
        (["<sip:ann@a>, <tel:+1>"], ["sip:ann@a", "tel:+1"]),
        (["<tel:+1>", "<sips:ann@a>"], ["tel:+1", "sips:ann@a"]),
        (["<sip:+1@a>", "<sip:+2@a>", "<tel:+3>, <tel:+4>"], ["sip:+1@a", "tel:+3"]),
        (["<mailto:ann@a>", "junk"], []),
        ([], []),
    ],
)
def test_at_most_one_sip_and_one_tel_identity_are_read_rfc3325_9_1(
    values: list[str], uris: list[str]
) -> None:
    assert [str(each.uri) for each in asserted(headers("P-Asserted-Identity", *values))] == uris


# Privacy.


@pytest.mark.parametrize(
    ("values", "withholds", "declined"),
    [
        (["id"], True, False),
        (["ID;critical"], True, False),
        (["user"], True, False),
        (["header; user"], True, False),
        (["header, id"], True, False),
        (["header", "id"], True, False),
        (["full"], True, False),
        (["header"], False, False),
        (["session;critical"], False, False),
        (["history"], False, False),
        (["none"], False, True),
        (["none;id"], True, False),
        (["tomorrow"], False, False),
        (["tomorrow;critical"], True, False),
        ([""], False, False),
        ([], False, False),
    ],
)
def test_privacy_values_that_withhold_or_decline_rfc3323_4_2(
    values: list[str], withholds: bool, declined: bool
) -> None:
    privacy = Privacy.of(headers("Privacy", *values))
    assert (privacy.withholds, privacy.declined) == (withholds, declined)


# Remote-Party-ID.


@pytest.mark.parametrize(
    ("values", "uri", "screened", "private"),
    [
        (["<sip:+1@a>;party=calling;screen=yes;privacy=off"], "sip:+1@a", True, False),
        (["<sip:+1@a>;screen=no;privacy=full"], "sip:+1@a", False, True),
        (['<sip:+1@a>;Party="Calling";privacy=uri'], "sip:+1@a", False, True),
        (["junk", "<sip:+2@a>;party=called", "<sip:+1@a>;screen=yes"], "sip:+1@a", True, False),
    ],
)
def test_remote_party_id_of_the_calling_party_is_read(
    values: list[str], uri: str, screened: bool, private: bool
) -> None:
    found = remote_party(headers("Remote-Party-ID", *values))
    assert found is not None
    assert (str(found.party.uri), found.screened, found.private) == (uri, screened, private)


def test_remote_party_id_of_another_party_is_ignored() -> None:
    assert remote_party(headers("Remote-Party-ID", "<sip:+2@a>;party=called")) is None


# Diversion and History-Info.


def test_diversions_are_parsed_most_recent_first_rfc5806_4() -> None:
    first, second = Diversion.all(
        headers(
            "Diversion",
            '"Bob, Home" <sip:+1@a>;reason=User-Busy;counter=1, junk',
            "<tel:+2>;privacy=full;screen=yes",
        )
    )
    assert (str(first.party.uri), first.reason, first.private) == ("sip:+1@a", "user-busy", False)
    assert (str(second.party.uri), second.reason, second.private) == ("tel:+2", "unknown", True)


def test_a_serialised_diversion_parses_to_the_same_rfc5806_4() -> None:
    diversion = Diversion(NameAddr.parse("<sip:+1@a>"), "unconditional")
    assert str(diversion) == "<sip:+1@a>;reason=unconditional"
    [again] = Diversion.all(headers("Diversion", str(diversion)))
    assert (again.party.uri, again.reason) == (diversion.party.uri, "unconditional")
    assert str(Diversion(diversion.party, "not a token", True)) == "<sip:+1@a>;reason=unknown;privacy=full"


def test_history_info_entries_are_parsed_in_order_rfc7044_5() -> None:
    entries = HistoryEntry.all(
        headers(
            "History-Info",
            "<sip:+1@a?Reason=SIP>;index=1, <sip:+2@a;cause=302?Privacy=history>;index=1.1;mp=1",
            "junk",
            "<sip:+3@a?privacy=none>",
        )
    )
    assert [(each.party.uri.user, each.index, each.private) for each in entries] == [
        ("+1", "1", False),
        ("+2", "1.1", True),
        ("+3", "", False),
    ]
