"""The implicit subscription of a REFER (RFC 3515 §2.4)."""

from __future__ import annotations

import pytest

from proxy.sip.dialog import Dialog
from proxy.sip.subscription import ReferSubscription
from tests.kit.messages import invite, request

REFER = request("REFER", to_tag="ours", cseq=12)


def dialog() -> Dialog:
    return Dialog.as_uas(invite(), invite().reply(200, to_tag="ours"))


def test_a_provisional_status_keeps_the_subscription_active_rfc3515_2_4_5() -> None:
    subscription = ReferSubscription(REFER)
    notify = subscription.notify(dialog(), 100)
    assert notify.start_line == "NOTIFY sip:alice@192.0.2.1:5060 SIP/2.0"
    assert list(notify.headers) == [
        ("Max-Forwards", "70"),
        ("From", "<sip:bob@sbc.example.com>;tag=ours"),
        ("To", "<sip:alice@example.com>;tag=alice1"),
        ("Call-ID", "a84b4c76e66710"),
        ("CSeq", "1 NOTIFY"),
        ("Event", "refer"),
        ("Subscription-State", "active;expires=60"),
        ("Content-Type", "message/sipfrag;version=2.0"),
    ]
    assert notify.body == b"SIP/2.0 100 Trying\r\n"
    assert not subscription.over


@pytest.mark.parametrize(
    ("status", "line"), [(200, b"SIP/2.0 200 OK\r\n"), (486, b"SIP/2.0 486 Busy Here\r\n")]
)
def test_a_final_status_ends_the_subscription_rfc3515_2_4_7(status: int, line: bytes) -> None:
    subscription = ReferSubscription(REFER)
    notify = subscription.notify(dialog(), status)
    assert notify.headers.get("Subscription-State") == "terminated;reason=noresource"
    assert notify.body == line
    assert subscription.over


def test_the_sipfrag_of_a_notify_may_have_a_custom_reason_phrase() -> None:
    assert ReferSubscription(REFER).notify(dialog(), 480, "Asleep").body == b"SIP/2.0 480 Asleep\r\n"


def test_the_event_of_the_second_refer_in_a_dialog_has_an_id_rfc3515_2_4_6() -> None:
    subscription = ReferSubscription(REFER, first=False)
    assert subscription.notify(dialog(), 100).headers.get("Event") == "refer;id=12"
    assert subscription.notify(dialog(), 200).headers.get("Event") == "refer;id=12"


def test_notifies_use_consecutive_cseq_numbers_of_the_dialog() -> None:
    subscription, referred = ReferSubscription(REFER), dialog()
    numbers = [subscription.notify(referred, status).cseq.number for status in (100, 180, 200)]
    assert numbers == [1, 2, 3]


def test_a_notify_after_the_final_status_raises_value_error() -> None:
    subscription, referred = ReferSubscription(REFER), dialog()
    subscription.notify(referred, 603)
    with pytest.raises(ValueError, match="after the subscription is over"):
        subscription.notify(referred, 200)
    assert referred.local_cseq == 1


def test_a_refused_notify_ends_the_subscription_rfc6665_4_2_2() -> None:
    subscription = ReferSubscription(REFER)
    subscription.notify(dialog(), 100)
    subscription.ended()
    assert subscription.over
