from proxy.sip.message import parse_message
from proxy.sip.values import NameAddr
from tests.kit import messages
from tests.kit.ids import CountingIds


def test_counting_ids_count_each_kind_separately():
    ids = CountingIds()
    assert [ids.branch(), ids.branch(), ids.tag(), ids.call_id(), ids.token()] == [
        "z9hG4bK1",
        "z9hG4bK2",
        "tag1",
        "call1",
        "token1",
    ]
    assert [ids.bits(1), ids.bits(1), ids.uniform(2.1, 3.9)] == [1, 0, 3.0]
    assert CountingIds("b").branch() == "z9hG4bKb1"


def test_the_signalwire_invite_has_two_record_routes_and_two_vias():
    invite = messages.signalwire_invite()
    assert [route.uri.params.get("r2") for route in invite.record_routes] == ["on", "on"]
    assert len(invite.vias) == 2
    assert "swrad=192.0.2.13~36607~3" in invite.headers.get("Contact")
    assert len(invite.body) == 272


def test_the_openai_answer_has_few_headers_and_a_contact_without_transport():
    ok = messages.openai_ok(messages.invite())
    assert ok.contact.raw_uri == "sip:OAI@sip.api.openai.com:5061"
    assert ok.headers.get("Allow") is None
    assert len(messages.openai_ok().body) == 202


def test_messages_of_a_dialog_share_its_call_id_and_survive_parsing():
    invite = messages.invite()
    ok = messages.ok(invite)
    for message in (
        invite,
        messages.trying(invite),
        messages.ringing(invite),
        ok,
        messages.ack(invite, to_tag=ok.to_tag),
        messages.bye(invite, to_tag=ok.to_tag),
        messages.cancel(invite),
        messages.within(invite, "REFER", to_tag="b", branch="z9hG4bKr", headers=[("Refer-To", "<tel:+1>")]),
    ):
        assert message.call_id == invite.call_id
        assert parse_message(message.encode()) == message
    assert ok.to == NameAddr.parse("<sip:bob@sbc.example.com>;tag=bob1")
    assert messages.cancel(invite).via == invite.via
