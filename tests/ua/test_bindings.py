"""Bindings of a phone, as REGISTER requests update them (RFC 3261 §10.3, RFC 5626 §6)."""

from __future__ import annotations

import pytest

from proxy.transport.flow import Flow, Target
from proxy.ua.bindings import MAX_CONTACTS, Binding, Unregistrable, newest_per_device, updated
from tests.kit import messages
from tests.ua.user_agent import PEER, UserAgent

INSTANCE = '+sip.instance="<urn:uuid:{}>";reg-id={}'


@pytest.fixture
async def flow(ua: UserAgent) -> Flow:
    return await ua.network.connect(Target("udp", (PEER, 5060), PEER))


def bindings_after(
    flow: Flow, *registers: tuple[str, int], now: float = 0.0, call_id: str = "c"
) -> list[Binding]:
    """The bindings after REGISTERs with these pairs of Contact and CSeq number."""
    bindings: list[Binding] = []
    for contact, cseq in registers:
        request = messages.request("REGISTER", contact=contact, cseq=cseq, call_id=call_id)
        bindings = updated(bindings, request, flow, now)
    return bindings


@pytest.mark.parametrize(
    ("q", "preference"),
    [("", 1.0), (";q=0.25", 0.25), (";q=7", 1.0), (";q=-1", 0.0), (";q=high", 1.0), (";q", 1.0)],
)
async def test_a_malformed_q_value_is_1_and_one_out_of_range_is_clamped_rfc3261_20_10(
    flow: Flow, q: str, preference: float
) -> None:
    (binding,) = bindings_after(flow, (f"<sip:a@b>{q}", 1))
    assert binding.preference == preference


async def test_a_200_repeats_q_instance_and_reg_id_of_a_contact_with_its_remaining_expiry_rfc3261_10_3_step_8(
    flow: Flow,
) -> None:
    params = f'q=0.5;{INSTANCE.format("1", "2")};methods="INVITE, BYE";expires=90'
    (binding,) = bindings_after(flow, (f'"Alice" <sip:a@b;ob>;{params}', 1))
    assert binding.contact_value(30.4) == f"<sip:a@b;ob>;q=0.5;{INSTANCE.format('1', '2')};expires=60"
    assert binding.uri == "sip:a@b;ob"


async def test_equivalent_contact_uris_are_one_binding_rfc3261_19_1_4(flow: Flow) -> None:
    bindings = bindings_after(
        flow, ("<sip:a@HOST;user=phone>", 1), ("<sip:%61@host;user=phone>", 2), ("<sip:b@host>", 3)
    )
    assert [each.uri for each in bindings] == ["sip:%61@host;user=phone", "sip:b@host"]


async def test_instance_and_reg_id_identify_a_binding_regardless_of_its_uri_rfc5626_6(flow: Flow) -> None:
    one, other = INSTANCE.format("1", "1"), INSTANCE.format("1", "2")
    bindings = bindings_after(
        flow, (f"<sip:a@b>;{one}", 1), (f"<sip:a@c>;{one}", 2), (f"<sip:a@c>;{other}", 3), ("<sip:a@c>", 4)
    )
    assert [each.uri for each in bindings] == ["sip:a@c", "sip:a@c", "sip:a@c"]
    assert [each.outbound for each in bindings][2] is None


async def test_same_device_compares_contact_uri_call_id_or_instance_rfc5626_4_1(flow: Flow) -> None:
    (one,) = bindings_after(flow, (f"<sip:a@b>;{INSTANCE.format('1', '1')}", 1), call_id="one")
    (second,) = bindings_after(flow, (f"<sip:a@c>;{INSTANCE.format('1', '2')}", 1), call_id="two")
    (moved,) = bindings_after(flow, ("<sip:a@d>", 1), call_id="one")
    (anew,) = bindings_after(flow, ("<sip:a@d>", 1), call_id="three")
    (other,) = bindings_after(flow, (f"<sip:a@b>;{INSTANCE.format('2', '1')}", 1), call_id="four")
    assert [one.same_device(each) for each in (second, moved, anew, other)] == [True, True, False, False]
    assert moved.same_device(anew)


async def test_newest_per_device_keeps_all_bindings_of_the_latest_register_rfc5626_7(
    flow: Flow,
) -> None:
    (first,) = bindings_after(flow, ("<sip:a@b>", 1), call_id="boot")
    two = bindings_after(flow, ("<sip:a@c>, <sip:a@d>;q=0.5", 2), call_id="boot", now=9.0)
    (other,) = bindings_after(flow, ("<sip:a@e>", 1), call_id="other", now=5.0)
    assert newest_per_device([first]) == [first]
    assert newest_per_device([first, other, *two]) == [other, *two]


async def test_a_reg_id_without_an_instance_is_ignored(flow: Flow) -> None:
    (binding,) = bindings_after(flow, ("<sip:a@b>;reg-id=1", 1))
    assert binding.outbound is None


async def test_expired_bindings_are_removed_by_a_query_too(flow: Flow) -> None:
    bindings = bindings_after(flow, ("<sip:a@b>;expires=60", 1))
    question = messages.request("REGISTER", contact=None, cseq=2)
    assert updated(bindings, question, flow, 59.0) == bindings
    assert updated(bindings, question, flow, 60.0) == []


async def test_a_cseq_number_not_above_the_last_gets_500_unless_the_call_id_differs_rfc3261_10_3_step_7(
    flow: Flow,
) -> None:
    bindings = bindings_after(flow, ("<sip:a@b>", 10))
    again = messages.request("REGISTER", contact="<sip:a@b>", cseq=10, call_id="c")
    with pytest.raises(Unregistrable, match="out of order") as refusal:
        updated(bindings, again, flow, 1.0)
    assert refusal.value.status == 500
    other = messages.request("REGISTER", contact="<sip:a@b>", cseq=1, call_id="d")
    assert updated(bindings, other, flow, 1.0)[0].call_id == "d"


async def test_a_register_with_too_many_contacts_gets_400_before_they_are_parsed(flow: Flow) -> None:
    ten = ", ".join(f"<sip:{n}@b>" for n in range(MAX_CONTACTS))
    assert len(bindings_after(flow, (ten, 1))) == MAX_CONTACTS
    with pytest.raises(Unregistrable) as refusal:
        bindings_after(flow, (ten, 1), (f"{ten}, <nonsense", 2))
    assert refusal.value.status == 400
    assert str(refusal.value) == "more contacts than a phone may have"
