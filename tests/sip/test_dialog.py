"""Dialog: route sets, targets and sequence numbers (RFC 3261 §12)."""

from __future__ import annotations

import pytest

from proxy.sip.dialog import Dialog, DialogId, InviteEssence
from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.sip.values import NameAddr
from tests.kit.messages import invite, ok, openai_ok, request, response, ringing, signalwire_invite, trying

UDP_ROUTE = "<sip:198.51.100.114:5060;r2=on;lr;ftag=0eKrUHDBKvXFB;nat=yes>"
TLS_ROUTE = "<sip:198.51.100.114:5061;transport=tls;r2=on;lr;ftag=0eKrUHDBKvXFB;nat=yes>"
SWRAD = "sip:mod_sofia@192.0.2.13:35181;transport=tls;swrad=192.0.2.13~36607~3"


def uas(received: Request | None = None, status: int = 200) -> Dialog:
    received = received or invite()
    return Dialog.as_uas(received, received.reply(status, to_tag="ours"))


def uac(*record_routes: str, contact: str = "<sip:bob@192.0.2.2:5060>") -> Dialog:
    """The dialog of a 200 with these Record-Routes, in message order."""
    headers = [("Record-Route", route) for route in record_routes]
    return Dialog.as_uac(invite(), ok(invite(), contact=contact, headers=headers))


# Making a dialog


def test_the_state_of_a_uas_dialog_comes_from_the_request_rfc3261_12_1_1() -> None:
    dialog = uas(invite(cseq=7, from_tag="theirs"))
    assert dialog.id == DialogId("a84b4c76e66710", "ours", "theirs")
    assert (dialog.local.tag, dialog.remote.tag) == ("ours", "theirs")
    assert dialog.target == "sip:alice@192.0.2.1:5060"
    assert (dialog.local_cseq, dialog.remote_cseq) == (0, 7)
    assert dialog.route_set == ()
    assert dialog.confirmed


def test_the_state_of_a_uac_dialog_comes_from_request_and_response_rfc3261_12_1_2() -> None:
    sent = invite(cseq=9)
    dialog = Dialog.as_uac(sent, ok(sent))
    assert dialog.id == DialogId("a84b4c76e66710", "alice1", "bob1")
    assert (str(dialog.local), str(dialog.remote)) == (
        "<sip:alice@example.com>;tag=alice1",
        "<sip:bob@sbc.example.com>;tag=bob1",
    )
    assert dialog.target == "sip:bob@192.0.2.2:5060"
    assert (dialog.local_cseq, dialog.remote_cseq) == (9, None)
    assert dialog.confirmed


def test_a_provisional_response_creates_an_early_dialog_rfc3261_12_1() -> None:
    assert not uas(status=180).confirmed
    assert not Dialog.as_uac(invite(), ringing(invite())).confirmed


def test_an_invite_without_contact_creates_no_dialog_rfc3261_8_1_1_8() -> None:
    with pytest.raises(ParseError, match="INVITE has no Contact") as refused:
        uas(invite(contact=None))
    assert refused.value.status == 400


def test_a_response_without_contact_leaves_the_request_uri_as_target() -> None:
    assert Dialog.as_uac(invite(), response(invite(), 183)).target == "sip:bob@sbc.example.com"


def test_the_remote_tag_is_empty_if_the_peer_sent_none_rfc3261_12_1_1() -> None:
    received = invite()
    received.headers.set("From", "<sip:old@example.com>")
    assert uas(received).id.remote_tag == ""
    assert DialogId.of_request(received) == DialogId("a84b4c76e66710", "", "")


def test_a_malformed_record_route_raises_parse_error_when_the_dialog_is_created() -> None:
    with pytest.raises(ParseError):
        uas(invite(headers=[("Record-Route", "<sip:broken")]))


def test_the_dialog_id_of_a_received_message_equals_that_of_its_dialog_rfc3261_12() -> None:
    sent = invite()
    assert DialogId.of_response(ok(sent)) == Dialog.as_uac(sent, ok(sent)).id
    bye = request("BYE", from_tag="alice1", to_tag="ours")
    assert DialogId.of_request(bye) == uas().id


# Route sets


def test_the_route_set_and_target_of_a_signalwire_invite_are_kept_byte_for_byte_rfc3261_12_1_1() -> None:
    dialog = uas(signalwire_invite())
    assert dialog.route_set == (UDP_ROUTE, TLS_ROUTE)
    assert dialog.target == SWRAD
    assert dialog.next_hop == UDP_ROUTE.strip("<>")
    bye = dialog.request("BYE")
    assert bye.start_line == f"BYE {SWRAD} SIP/2.0"
    assert list(bye.headers) == [
        ("Max-Forwards", "70"),
        ("Route", UDP_ROUTE),
        ("Route", TLS_ROUTE),
        ("From", "<sip:inbound@sbc.example.com:5060;transport=UDP>;tag=ours"),
        ("To", "<sip:+13475550148@sip.signalwire.com>;tag=0eKrUHDBKvXFB"),
        ("Call-ID", "14f108a5-c92b-4602-b14f-0012b70eddcd"),
        ("CSeq", "1 BYE"),
    ]


def test_a_uac_reverses_the_route_set_rfc3261_12_1_2() -> None:
    dialog = uac(UDP_ROUTE, TLS_ROUTE)
    assert dialog.route_set == (TLS_ROUTE, UDP_ROUTE)
    assert dialog.next_hop == TLS_ROUTE.strip("<>")


def test_comma_separated_record_routes_are_split_rfc3261_7_3_1() -> None:
    line = f'"Edge, west" {UDP_ROUTE};x=1, {TLS_ROUTE}'
    received = invite(headers=[("Record-Route", line), ("record-route", "<sip:third.example.com;lr>")])
    assert uas(received).route_set == (
        f'"Edge, west" {UDP_ROUTE};x=1',
        TLS_ROUTE,
        "<sip:third.example.com;lr>",
    )
    assert uas(received).next_hop == UDP_ROUTE.strip("<>")


def test_the_target_of_openais_200_has_no_transport_and_the_route_set_is_empty() -> None:
    sent = invite("sip:proj_X@sip.api.openai.com:5061;transport=tls")
    dialog = Dialog.as_uac(sent, openai_ok(sent))
    assert dialog.target == dialog.next_hop == dialog.request("BYE").uri
    assert NameAddr.parse(f"<{dialog.target}>").uri.transport is None
    assert dialog.route_set == ()


def test_without_a_route_set_requests_go_to_the_target_rfc3261_12_2_1_1() -> None:
    dialog = uac()
    assert "Route" not in dialog.request("BYE").headers
    assert dialog.next_hop == "sip:bob@192.0.2.2:5060"


def test_with_loose_routers_the_request_uri_is_the_target_rfc3261_12_2_1_1() -> None:
    bye = uac("<sip:p2.example.com;lr>", "<sip:p1.example.com;lr=on>").request("BYE")
    assert bye.uri == "sip:bob@192.0.2.2:5060"
    assert bye.headers.get_all("Route") == ["<sip:p1.example.com;lr=on>", "<sip:p2.example.com;lr>"]


def test_a_strict_router_becomes_the_request_uri_and_the_target_the_last_route_rfc3261_12_2_1_1() -> None:
    dialog = uac("<sip:p2.example.com;lr>", "<sip:p1.example.com;X-y=Z~1>")
    bye = dialog.request("BYE")
    assert bye.uri == dialog.next_hop == "sip:p1.example.com;X-y=Z~1"
    assert bye.headers.get_all("Route") == ["<sip:p2.example.com;lr>", "<sip:bob@192.0.2.2:5060>"]


def test_a_strict_routers_uri_loses_its_method_and_headers_in_the_request_uri_rfc3261_12_2_1_1() -> None:
    bye = uac("<sip:p1.example.com;method=INVITE;a=b?Subject=x>").request("BYE")
    assert bye.uri == "sip:p1.example.com;a=b"
    assert uac("<sip:p1.example.com;method=INVITE>").request("BYE").uri == "sip:p1.example.com"


# Confirming


def test_the_2xx_replaces_the_route_set_and_target_of_the_early_dialog_rfc3261_13_2_2_4() -> None:
    sent = invite()
    early = response(sent, 183, contact="<sip:early@192.0.2.9>", headers=[("Record-Route", "<sip:p1;lr>")])
    dialog = Dialog.as_uac(sent, early)
    assert (dialog.target, dialog.route_set) == ("sip:early@192.0.2.9", ("<sip:p1;lr>",))
    dialog.confirm(ok(sent, headers=[("Record-Route", "<sip:p2;lr>"), ("Record-Route", "<sip:p3;lr>")]))
    assert dialog.confirmed
    assert (dialog.target, dialog.route_set) == ("sip:bob@192.0.2.2:5060", ("<sip:p3;lr>", "<sip:p2;lr>"))


def test_a_2xx_without_contact_keeps_the_target_of_the_early_dialog() -> None:
    dialog = Dialog.as_uac(invite(), ringing(invite()))
    dialog.confirm(ok(invite(), contact=None))
    assert dialog.target == "sip:bob@192.0.2.2:5060"


def test_the_2xx_to_a_reinvite_refreshes_the_target_but_not_the_routes_rfc3261_12_2_1_2() -> None:
    dialog = uac("<sip:p1.example.com;lr>")
    dialog.confirm(ok(invite(), contact="<sip:moved@192.0.2.7>", headers=[("Record-Route", "<sip:new;lr>")]))
    assert dialog.target == "sip:moved@192.0.2.7"
    assert dialog.route_set == ("<sip:p1.example.com;lr>",)


def test_our_2xx_confirms_the_dialog_without_changing_route_set_or_target_rfc3261_13_3_1_4() -> None:
    received = signalwire_invite()
    dialog = uas(received, status=180)
    answer = received.reply(200, to_tag="ours")
    answer.headers.add("Contact", "<sip:us@sbc.example.com>")
    dialog.confirm(answer)
    assert dialog.confirmed
    assert (dialog.target, dialog.route_set) == (SWRAD, (UDP_ROUTE, TLS_ROUTE))


def test_a_malformed_2xx_leaves_the_early_dialog_unchanged() -> None:
    dialog = Dialog.as_uac(invite(), ringing(invite()))
    with pytest.raises(ParseError):
        dialog.confirm(ok(invite(), contact="<sip:new@192.0.2.7>", headers=[("Record-Route", "<sip:broken")]))
    assert not dialog.confirmed
    assert (dialog.target, dialog.route_set) == ("sip:bob@192.0.2.2:5060", ())


# Sending


def test_each_request_in_a_dialog_has_the_next_cseq_number_rfc3261_12_2_1_1() -> None:
    dialog = uas()
    dialog.local_cseq = 4999
    assert [str(dialog.request(method).cseq) for method in ("INVITE", "INFO", "BYE")] == [
        "5000 INVITE",
        "5001 INFO",
        "5002 BYE",
    ]


def test_a_request_made_by_the_dialog_has_no_via_and_no_contact() -> None:
    made = uas().request("UPDATE")
    assert "Via" not in made.headers
    assert "Contact" not in made.headers


def test_the_ack_for_a_2xx_has_the_cseq_number_and_credentials_of_its_invite_rfc3261_13_2_2_4() -> None:
    secrets = [
        ("Proxy-Authorization", "Digest a"),
        ("Proxy-Authorization", "Digest b"),
        ("Authorization", "Digest c"),
    ]
    sent = invite(cseq=7, headers=secrets)
    dialog = Dialog.as_uac(sent, ok(sent, headers=[("Record-Route", "<sip:p1.example.com;lr>")]))
    dialog.request("INFO")
    ack = dialog.ack(sent)
    assert ack.start_line == "ACK sip:bob@192.0.2.2:5060 SIP/2.0"
    assert list(ack.headers) == [
        ("Max-Forwards", "70"),
        ("Route", "<sip:p1.example.com;lr>"),
        ("From", "<sip:alice@example.com>;tag=alice1"),
        ("To", "<sip:bob@sbc.example.com>;tag=bob1"),
        ("Call-ID", "a84b4c76e66710"),
        ("CSeq", "7 ACK"),
        ("Authorization", "Digest c"),
        ("Proxy-Authorization", "Digest a"),
        ("Proxy-Authorization", "Digest b"),
    ]
    assert dialog.local_cseq == 8


# Receiving


def within(method: str, cseq: int, contact: str | None = "<sip:moved@192.0.2.7;x=Y>") -> Request:
    return request(method, to_tag="ours", cseq=cseq, contact=contact)


def test_a_request_with_a_lower_cseq_number_is_refused_with_500_rfc3261_12_2_2() -> None:
    dialog = uas(invite(cseq=7))
    with pytest.raises(ParseError, match="6 after 7") as refused:
        dialog.receive(within("INVITE", 6))
    assert refused.value.status == 500
    assert (dialog.remote_cseq, dialog.target) == (7, "sip:alice@192.0.2.1:5060")


def test_a_request_may_skip_cseq_numbers_rfc3261_12_2_2() -> None:
    dialog = uas(invite(cseq=7))
    dialog.receive(within("INFO", 20))
    assert dialog.remote_cseq == 20


def test_the_first_request_of_the_peer_sets_the_remote_cseq_rfc3261_12_2_2() -> None:
    dialog = uac()
    dialog.receive(request("REFER", from_tag="bob1", to_tag="alice1", cseq=1))
    assert dialog.remote_cseq == 1


def test_an_invite_essence_gives_the_same_dialog_and_ack_as_the_whole_invite_rfc3261_13_2_2_4() -> None:
    whole = invite()
    credentials = ("Authorization", 'Digest username="alice"')
    whole.headers.add(*credentials)
    kept = InviteEssence(whole.uri, whole.headers.first["from"], whole.cseq.number, (credentials,)).invite
    dialogs = [Dialog.as_uac(each, ok(whole)) for each in (whole, kept)]
    assert dialogs[0].ack(whole).encode() == dialogs[1].ack(kept).encode()
    assert len(kept.headers) == 3


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_ack_and_cancel_with_an_older_cseq_number_are_accepted_rfc3261_12_2_1_1(method: str) -> None:
    dialog = uas(invite(cseq=7))
    dialog.receive(within("INFO", 8, None))
    dialog.receive(within(method, 7))
    assert (dialog.remote_cseq, dialog.target) == (8, "sip:alice@192.0.2.1:5060")


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_target_refresh_request_changes_the_target_only_once_it_is_accepted_rfc3261_12_2_2_rfc6141_4(
    method: str,
) -> None:
    dialog = uas(signalwire_invite(cseq=7))
    before = dialog.target
    dialog.receive(refresh := within(method, 8))
    assert dialog.target == before
    dialog.accepted(refresh)
    assert dialog.target == "sip:moved@192.0.2.7;x=Y"
    assert dialog.route_set == (UDP_ROUTE, TLS_ROUTE)
    assert dialog.request("BYE").uri == "sip:moved@192.0.2.7;x=Y"


def test_a_target_refresh_request_without_contact_keeps_the_target_rfc3261_12_2_2() -> None:
    dialog = uas()
    dialog.accepted(within("INVITE", 2, None))
    assert dialog.target == "sip:alice@192.0.2.1:5060"


def test_a_reinvite_accepted_after_a_later_update_does_not_change_the_target_back_rfc6141_4() -> None:
    dialog = uas()
    late = within("INVITE", 2, "<sip:late@192.0.2.8>")
    for each in (late, update := within("UPDATE", 3)):
        dialog.receive(each)
    dialog.accepted(update)
    dialog.accepted(late)
    assert dialog.target == "sip:moved@192.0.2.7;x=Y"


def test_a_malformed_contact_raises_parse_error_and_changes_nothing() -> None:
    dialog = uas(invite(cseq=7))
    reinvite = within("INVITE", 8)
    reinvite.headers.set("Contact", "<sip:broken")
    with pytest.raises(ParseError):
        dialog.receive(reinvite)
    assert (dialog.remote_cseq, dialog.target) == (7, "sip:alice@192.0.2.1:5060")


def test_the_remote_tag_of_a_100_without_to_tag_is_empty() -> None:
    assert DialogId.of_response(trying(invite())).remote_tag == ""


def test_a_display_name_that_is_not_utf8_is_not_sent_back_rfc3261_25_1() -> None:
    received = invite()
    received.headers.set("From", '"Jos\udce9" <sip:alice@example.com>;tag=a')
    assert uas(received).request("BYE").headers.get("To") == "<sip:alice@example.com>;tag=a"
    received.headers.set("From", '"José" <sip:alice@example.com>;tag=a')
    assert uas(received).request("BYE").headers.get("To") == '"José" <sip:alice@example.com>;tag=a'


@pytest.mark.parametrize(
    "end",
    [
        "<sip:alice@example.com>;tag=t1",
        '"Alice \\"A\\" >;tag=x" <sip:alice@example.com;user=phone>;tag=t1',
        "Alice B <sip:alice@example.com>;tag=t1",
        "<sip:alice@example.com>;x=1;tag=t1",
        "<sip:alice@example.com>;tag=t1;x=1",
        '<sip:alice@example.com>;x="<>;tag=t1"',
        "<sip:alice@example.com>;tag=1-2.3",
        "<sip:alice@example.com> ; tag = t1",
        "<sip:alice@example.com>; tag=t1",
        "<sip:alice@example.com>;TAG=t1",
        "sip:alice@example.com;tag=t1",
        "<sip:alice@example.com>",
        f"<sip:{'a' * 300}@example.com>;tag=t1",
    ],
)
def test_from_and_to_of_a_dialog_serialise_as_the_parsed_address(end: str) -> None:
    received = invite()
    received.headers.set("From", end)
    dialog = uas(received)
    assert dialog.request("BYE").headers.get("To") == str(NameAddr.parse(end))
    assert dialog.request("INFO").headers.get("From") == str(dialog.local)
    assert dialog.request("INFO").headers.get("To") == str(dialog.remote)
