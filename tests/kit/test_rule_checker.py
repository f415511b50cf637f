"""The checker of the race tests detects violations."""

from __future__ import annotations

import pytest

from proxy.sip.message import Request, Response
from tests.kit import messages
from tests.kit.messages import invite, ok, request, response, ringing, trying
from tests.kit.rule_checker import RuleChecker

pytestmark = pytest.mark.virtual


class Flow:
    reliable = False
    closed = False


class Core:
    def __init__(self):
        self.traces = []


class Case:
    """A core whose messages come from the test."""

    def __init__(self):
        self.core = Core()
        self.rule_checker = RuleChecker(self.core)

    def hears(self, message: Request | Response):
        self.core.traces[0]("<", Flow(), message)

    def says(self, message: Request | Response):
        self.core.traces[0](">", Flow(), message)


@pytest.fixture
async def case():
    return Case()


def ours(method: str, number: int, *, branch: str) -> Request:
    """A request of ours in the dialog of our `invite()`."""
    return request(method, to_tag="bob1", cseq=number, branch=branch)


def cancel_of(invited: Request) -> Request:
    return messages.cancel(invited)


async def test_a_correct_call_has_no_violations(case):
    invited = invite()
    case.says(invited)
    case.says(invited)
    case.hears(trying(invited))
    case.hears(ringing(invited))
    case.hears(ok(invited))
    case.says(messages.ack(invited, to_tag="bob1"))
    bye = ours("BYE", 2, branch="z9hG4bKbye")
    case.says(bye)
    case.hears(response(bye, 200))
    assert case.rule_checker.violations() == []


async def test_a_cancel_before_a_provisional_or_after_the_final_response_is_reported(case):
    invited = invite()
    case.says(invited)
    case.says(cancel_of(invited))
    assert case.rule_checker.violations() == ["CANCEL before a provisional response (§9.1)"]
    other = invite(branch="z9hG4bKother")
    case.says(other)
    case.hears(ringing(other))
    case.hears(response(other, 486))
    case.says(messages.within(other, "ACK", to_tag="bob1", branch="z9hG4bKother", cseq=1))
    case.says(cancel_of(other))
    assert case.rule_checker.violations()[1:] == ["CANCEL after the final response (§9.1)"]


async def test_a_missing_ack_is_reported_for_each_2xx(case):
    invited = invite()
    case.says(invited)
    case.hears(ok(invited))
    case.says(messages.ack(invited, to_tag="bob1"))
    case.hears(ok(invited))
    case.says(ours("BYE", 2, branch="z9hG4bKbye"))
    assert [wrong[:6] for wrong in case.rule_checker.violations()] == ["no ACK"]


async def test_a_missing_ack_for_a_486_and_a_missing_bye_are_reported(case):
    refused, answered = invite(), invite(branch="z9hG4bKother", call_id="other")
    for each in (refused, answered):
        case.says(each)
    case.hears(response(refused, 486))
    case.hears(ok(answered))
    case.says(messages.ack(answered, to_tag="bob1"))
    assert [wrong.split(" in ")[0] for wrong in case.rule_checker.violations()] == [
        "no ACK for 486 (§17.1.1.3)",
        "no BYE",
    ]
    case.rule_checker.connection_cut = True
    assert case.rule_checker.violations() == []


async def test_a_reused_cseq_and_a_request_after_bye_are_reported(case):
    invited = invite()
    case.says(invited)
    case.hears(ok(invited))
    case.says(messages.ack(invited, to_tag="bob1"))
    case.says(ours("UPDATE", 1, branch="z9hG4bKupdate"))
    case.says(ours("BYE", 3, branch="z9hG4bKbye"))
    case.says(ours("NOTIFY", 4, branch="z9hG4bKnotify"))
    assert case.rule_checker.violations() == ["UPDATE: CSeq 1 again (§12.2.1.1)", "NOTIFY after BYE (§15)"]


async def test_missing_conflicting_and_unsolicited_responses_are_reported(case):
    left, twice, unheard = (request("OPTIONS", branch=f"z9hG4bK{name}") for name in ("a", "b", "c"))
    case.hears(left)
    case.hears(twice)
    for status in (200, 200, 481):
        case.says(response(twice, status))
    case.says(response(unheard, 200))
    assert case.rule_checker.violations() == [
        "SIP/2.0 200 Whatever to nothing",
        "OPTIONS 1 OPTIONS was never answered",
        "OPTIONS was answered [200, 481] (§17.2)",
    ]


async def test_a_bye_of_an_unknown_dialog_needs_no_response(case):
    case.hears(request("BYE", to_tag="unknown"))
    assert case.rule_checker.violations() == []


@pytest.mark.parametrize("status", [180, 408])
async def test_responses_that_rfc4320_forbids_are_reported(case, status):
    asked = request("OPTIONS")
    case.hears(asked)
    case.says(response(asked, status))
    case.says(response(asked, 200))
    assert f"SIP/2.0 {status} Whatever to a OPTIONS (RFC 4320)" in case.rule_checker.violations()


async def test_a_provisional_after_the_final_response_is_reported(case):
    invited = invite()
    case.hears(invited)
    case.says(response(invited, 486))
    case.says(ringing(invited))
    assert case.rule_checker.violations() == ["SIP/2.0 180 Ringing after {486} (§17.2)"]
