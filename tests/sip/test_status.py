"""Reason phrases."""

import pytest

from proxy.sip.status import REASONS, reason_phrase


@pytest.mark.parametrize(
    ("status", "phrase"),
    [(100, "Trying"), (407, "Proxy Authentication Required"), (487, "Request Terminated"), (608, "Rejected")],
)
def test_a_registered_status_has_its_standard_reason_phrase_rfc3261_21(status: int, phrase: str) -> None:
    assert reason_phrase(status) == phrase


@pytest.mark.parametrize(("status", "phrase"), [(299, "Success"), (499, "Client Error"), (799, "Unknown")])
def test_an_unregistered_status_has_the_phrase_of_its_class(status: int, phrase: str) -> None:
    assert reason_phrase(status) == phrase


def test_every_reason_phrase_is_printable_and_its_status_valid() -> None:
    assert all(100 <= status <= 699 and phrase.isprintable() for status, phrase in REASONS.items())
