"""Numbers as people and carriers write them."""

from __future__ import annotations

import pytest

from screening.callers.numbering import country_of, e164, normalize


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("+1 415 555 0100", "us", "+14155550100"),
        ("(415) 555-0100", "US", "+14155550100"),
        ("+44 (0)20 7946 0958", "us", "+442079460958"),
        ("+44 020 7946 0958", "us", "+442079460958"),
        ("+49 030 123456", "us", "+4930123456"),
        ("020 7946 0958", "gb", "+442079460958"),
        ("+39 06 698 12345", "us", "+390669812345"),
        ("00 49 30 123456", "de", "+4930123456"),
        ("+1 415 555 0100 ext. 7", "us", "+14155550100"),
        ("+52 1 55 1234 5678", "mx", "+525512345678"),
        ("+1415555", "us", None),
        ("+999123456789", "us", None),
        ("12", "us", None),
        ("Anna", "us", None),
        ("", "us", None),
    ],
)
def test_a_number_becomes_e164_or_is_none(text: str, country: str, number: str | None) -> None:
    assert e164(text, country) == number


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ("+14155550100", "+14155550100"),
        ("4155550100", "+14155550100"),
        ("14155550100", "+14155550100"),
        ("442079460958", "+442079460958"),
        ("00442079460958", "+442079460958"),
        ("+5215512345678", "+525512345678"),
        ("911", "911"),
        ("+99", "+99"),
    ],
)
def test_numbers_sent_without_plus_are_normalised_if_possible(sent: str, number: str) -> None:
    assert normalize(sent, "us") == number


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+14155550100", "US"),
        ("+16045550100", "CA"),
        ("+18765550100", "JM"),
        ("+10005550100", "US"),
        ("+4930123456", "DE"),
        ("+80012345678", None),
        ("+999123456", None),
    ],
)
def test_the_country_of_a_number_follows_its_prefix(number: str, country: str | None) -> None:
    assert country_of(number) == country
