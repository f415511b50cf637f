"""Which of several failed branches is reported when nobody takes the call."""

from __future__ import annotations

import pytest

from proxy.call.outcome import NotRegistered
from proxy.call.race import best
from proxy.sip.errors import SipError
from proxy.transport.flow import TransportFailed
from proxy.ua.errors import Rejected
from tests.kit import messages


@pytest.mark.parametrize(
    ("statuses", "chosen"),
    [
        ([480, 486], 486),
        ([486, 603], 603),
        ([503, 404], 404),
        ([408, 480], 408),
        ([500, 302], 302),
        ([503], 503),
    ],
)
def test_the_best_refusal_of_all_branches_is_the_result_rfc3261_16_7(
    statuses: list[int], chosen: int
) -> None:
    invite = messages.invite()
    failures: list[SipError] = [Rejected(messages.response(invite, status)) for status in statuses]
    failure = best(failures)
    assert isinstance(failure, Rejected)
    assert failure.status == chosen


def test_a_network_failure_is_the_result_only_if_no_branch_has_another_rfc3261_16_7() -> None:
    gone, away = TransportFailed("gone"), NotRegistered("away")
    assert best([gone, away]) is away
    assert best([gone]) is gone
