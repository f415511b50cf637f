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
def test_verstat_may_stand_anywhere_and_the_number_is_read_3gpp_24_229_7_2a_20(text: str) -> None:
    address = parse_party(text)
    assert address is not None
    assert address.display == "Ann"
    assert (address.uri.user or "").partition(";")[0] == "+13475550148"


@pytest.mark.parametrize("text", ["", "<>", "x", "<sip:>;verstat=1", "sip:a b@c", '"x <sip:a@b>', "a>b"])
def test_an_address_that_cannot_be_read_is_none(text: str) -> None:
    assert parse_party(text) is None


@given(st.text(max_size=80))
@settings(max_examples=200)
def test_nothing_is_refused(text: str) -> None:
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
def test_one_sip_and_one_tel_identity_are_asserted_rfc3325_9_1(values: list[str], uris: list[str]) -> None:
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
def test_what_a_caller_wishes_to_withhold_rfc3323_4_2(
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
def test_the_calling_party_of_remote_party_id(
    values: list[str], uri: str, screened: bool, private: bool
) -> None:
    found = remote_party(headers("Remote-Party-ID", *values))
    assert found is not None
    assert (str(found.party.uri), found.screened, found.private) == (uri, screened, private)


def test_without_a_calling_party_there_is_none() -> None:
    assert remote_party(headers("Remote-Party-ID", "<sip:+2@a>;party=called")) is None


# Diversion and History-Info.


def test_diversions_are_read_latest_first_rfc5806_4() -> None:
    first, second = Diversion.all(
        headers(
            "Diversion",
            '"Bob, Home" <sip:+1@a>;reason=User-Busy;counter=1, junk',
            "<tel:+2>;privacy=full;screen=yes",
        )
    )
    assert (str(first.party.uri), first.reason, first.private) == ("sip:+1@a", "user-busy", False)
    assert (str(second.party.uri), second.reason, second.private) == ("tel:+2", "unknown", True)


def test_a_diversion_is_written_as_it_is_read_rfc5806_4() -> None:
    diversion = Diversion(NameAddr.parse("<sip:+1@a>"), "unconditional")
    assert str(diversion) == "<sip:+1@a>;reason=unconditional"
    [again] = Diversion.all(headers("Diversion", str(diversion)))
    assert (again.party.uri, again.reason) == (diversion.party.uri, "unconditional")
    assert str(Diversion(diversion.party, "not a token", True)) == "<sip:+1@a>;reason=unknown;privacy=full"


def test_the_history_is_read_in_its_order_rfc7044_5() -> None:
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
