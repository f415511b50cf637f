"""The user agent core: admission, malformed messages, dispatch, closing (RFC 3261 §8.2, §18)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.sip.errors import ParseError
from proxy.transport.flow import Flow, Target, TransportFailed
from proxy.ua.advertised import Advertised
from proxy.ua.errors import Rejected
from proxy.ua.outgoing_invite import Outgoing
from proxy.ua.reason import EndReason
from proxy.ua.transactions import NullUser
from tests.kit import messages
from tests.kit.virtual_loop import run_virtual
from tests.ua.user_agent import (
    HOST,
    PEER,
    STRANGER,
    Peer,
    UserAgent,
    from_callee,
    from_caller,
    pending_timers,
    running_user_agent,
)

INVITE = messages.invite()


async def stranger_at(ua: UserAgent, transport: str = "udp") -> Peer:
    stranger = Peer(ua.wire, STRANGER, transport)
    await stranger.start()
    return stranger


# Strangers.


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "CANCEL", "BYE", "REFER", "ACK", "FOO"])
async def test_a_request_from_an_unknown_address_gets_no_response_and_is_reported_to_the_gate(
    ua: UserAgent, method: str
) -> None:
    stranger = await stranger_at(ua)
    await stranger.says(messages.request(method, sent_by=f"{STRANGER}:5060"))
    await stranger.says(messages.request(method, sent_by=f"{STRANGER}:5060", to_tag="x", branch="z9hG4bK2"))
    await stranger.hears_nothing(for_s=40)
    assert ua.turned_away == [STRANGER, STRANGER]
    await ua.assert_clean()


async def test_messages_from_a_barred_address_are_not_parsed(ua: UserAgent) -> None:
    ua.barred.add(STRANGER)
    stranger = await stranger_at(ua)
    await stranger.says(b"hello")
    await stranger.says(INVITE.encode())
    await stranger.hears_nothing(for_s=40)
    assert (ua.turned_away, ua.unreadable) == ([], [])


async def test_a_response_without_a_transaction_from_an_unknown_address_is_reported_to_the_gate(
    ua: UserAgent,
) -> None:
    stranger = await stranger_at(ua)
    await stranger.says(messages.ok(INVITE).encode())
    await stranger.hears_nothing(for_s=40)
    assert ua.turned_away == [STRANGER]


async def test_a_request_of_a_known_scanner_is_dropped_even_from_an_admitted_address(ua: UserAgent) -> None:
    options = messages.request("OPTIONS")
    options.headers.add("User-Agent", "friendly-scanner")
    await ua.peer.says(options)
    await ua.peer.hears_nothing(for_s=40)
    await ua.assert_clean()


async def test_a_host_that_we_send_an_invite_to_becomes_a_peer(ua: UserAgent) -> None:
    invite = asyncio.ensure_future(ua.leg().invite(Outgoing("sip:bob@192.0.2.1", "<sip:us@h>")))
    await ua.peer.hears("INVITE")
    assert ua.peers == {"192.0.2.1"}
    invite.cancel()
    await asyncio.gather(invite, return_exceptions=True)


@pytest.mark.parametrize(
    "data", [b"hello", b"INVITE sip:x SIP/3.0\r\n\r\n", b"\x00" * 40, b"SIP/2.0 200 OK\r\n\r\n"]
)
async def test_malformed_messages_from_an_unknown_address_get_no_response(ua: UserAgent, data: bytes) -> None:
    stranger = await stranger_at(ua)
    await stranger.says(data)
    await stranger.says(INVITE.encode().replace(b"CSeq: 1 INVITE", b"CSeq: one INVITE"))
    await stranger.hears_nothing(for_s=40)
    assert len(ua.unreadable) == 2


async def test_in_dialog_requests_are_accepted_from_any_address_by_their_tags(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    stranger = await stranger_at(ua, "tls")
    await stranger.says(from_caller(INVITE, "OPTIONS", ours, 2))
    await stranger.hears(200)
    await stranger.says(from_caller(INVITE, "BYE", ours, 3))
    await stranger.hears(200)
    assert leg.ended.result() is EndReason.HUNG_UP
    assert ua.turned_away == []
    await ua.assert_clean()


# Malformed messages.


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia", 505),
        (b"CSeq: 1 INVITE", b"CSeq: one INVITE", 400),
        (b"CSeq: 1 INVITE", b"CSeq: 1 OPTIONS", 400),
        (b"CSeq: 1 INVITE\r\n", b"", 400),
        (b"From: <sip:alice@example.com>;tag=alice1", b"From: <<<", 400),
        (b"To: <sip:bob@sbc.example.com>", b'To: "open', 400),
        (b"Max-Forwards: 70", b"Max-Forwards: many", 400),
        (b"Contact: <sip:alice@192.0.2.1:5060>\r\n", b"", 400),
        (b"Contact: <sip:alice@192.0.2.1:5060>", b"Contact: <sip:@>", 400),
        (b"Content-Length: ", b"Content-Length: 9", 400),
        (b"INVITE sip:bob@sbc.example.com SIP", b"INVITE sip:@@ SIP", 400),
        (b"INVITE sip:bob@sbc.example.com SIP", b"INVITE sip:bob @sbc SIP", 400),
        (b"Max-Forwards: 70", b"Record-Route: <sip:@@>", None),
        (b"INVITE sip:bob@sbc.example.com SIP", b"INVITE news:alt.test SIP", 416),
        (b"Max-Forwards: 70", b"Max-Forwards: 0", 483),
        (b"Max-Forwards: 70", b"Require: precondition, timer, 100rel, foo", 420),
        (b"application/sdp", b"text/plain", 415),
        (b"application/sdp", b"application/sdp\r\nContent-Encoding: gzip", 415),
        (b"application/sdp", b"application/sdp\r\nContent-Encoding: identity", None),
        (b"application/sdp", b"text/plain\r\nContent-Disposition: render;handling=optional", None),
        (b"application/sdp", b"application/pkcs7-mime", 415),
        (b"application/sdp", b"application/pkcs7-mime\r\nContent-Disposition: x;handling=required", 493),
        (b"Max-Forwards: 70", b"Accept: text/plain", 406),
        (b"Max-Forwards: 70", b"Accept: text/plain, Application / SDP;q=0.1", None),
        (b"Max-Forwards: 70", b"Accept:", None),
        (b"INVITE sip:bob@sbc.example.com SIP", b"INVITE sip:bob@sbc.example.com?Route=%3Csip:x%3E SIP", 400),
    ],
)
async def test_a_faulty_invite_of_a_peer_gets_the_status_for_its_fault(
    ua: UserAgent, old: bytes, new: bytes, status: int | None
) -> None:
    assert old in INVITE.encode()
    await ua.peer.says(INVITE.encode().replace(old, new, 1))
    if status is None:
        await ua.invited()
        return
    await asyncio.sleep(0.1)
    if ua.peer.unparsable:
        assert ua.peer.unparsable[0].startswith(f"SIP/2.0 {status} ".encode())
        return
    response = await ua.peer.hears(status)
    assert response.via.branch == INVITE.via.branch
    if status == 420:
        assert response.headers.get("Unsupported") == "precondition, foo"
    if status == 415:
        accepted = [response.headers.get(name) for name in ("Accept", "Accept-Encoding")]
        assert accepted in (["application/sdp", None], [None, "identity"])
    assert ua.invitations.empty()


async def test_the_400_to_a_malformed_request_has_received_and_rport_rfc3581(ua: UserAgent) -> None:
    data = INVITE.encode().replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE")
    await ua.peer.says(data)
    response = await ua.peer.hears(400)
    assert (response.via.received, response.via.params.get("rport")) == ("192.0.2.1", "5060")


@pytest.mark.parametrize(
    "data",
    [
        b"ACK" + INVITE.encode()[6:],
        INVITE.encode().replace(b"Via: ", b"X-Via: ").replace(b"CSeq: 1 ", b"CSeq: x "),
        INVITE.encode().replace(b"Via: SIP/2.0/UDP 192", b"Via: nonsense 192"),
        b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
    ],
)
async def test_malformed_acks_responses_and_requests_without_a_usable_via_are_dropped(
    ua: UserAgent, data: bytes
) -> None:
    await ua.peer.says(data)
    await ua.peer.hears_nothing(for_s=5)
    assert len(ua.unreadable) == 1


async def test_control_characters_of_a_malformed_request_are_not_echoed(ua: UserAgent) -> None:
    await ua.peer.says(INVITE.encode().replace(b"CSeq: 1 INVITE", b"CSeq: 1 INVITE\x00\rX: y"))
    await asyncio.sleep(1)
    [data] = ua.peer.unparsable  # the 400 has no CSeq, as the malformed one is left out
    assert data.startswith(b"SIP/2.0 400 ")
    assert b"\x00" not in data
    assert b"\rX" not in data


async def test_a_framing_error_on_a_stream_is_answered_only_if_the_peer_is_admitted(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    await peer.flow()
    flow = ua.network.streams[0]
    ua.core.unframeable(flow, ParseError("too large", 513, partial=INVITE))
    await peer.hears(513)
    ua.core.unframeable(flow, ParseError("no length"))
    ua.strangers.add("192.0.2.7")
    ua.core.unframeable(flow, ParseError("too large", 513, partial=INVITE))
    await peer.hears_nothing(for_s=5)
    assert len(ua.unreadable) == 3


async def test_a_framing_error_on_a_closed_connection_is_ignored(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    await peer.flow()
    flow = ua.network.streams[0]
    flow.close()
    ua.core.unframeable(flow, ParseError("too large", 513, partial=INVITE))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(
        ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REFER", "UPDATE", "NOTIFY", "SIP/2.0"]
    ),
    in_dialog=st.booleans(),
    at=st.integers(0, 400),
    junk=st.binary(min_size=1, max_size=12),
)
def test_corrupted_messages_of_a_peer_cause_no_exception(
    method: str, in_dialog: bool, at: int, junk: bytes
) -> None:
    async def send_corrupted() -> None:
        async with running_user_agent() as ua:
            _, ours = await ua.answered_leg()
            data = from_caller(
                INVITE, "INVITE" if method == "SIP/2.0" else method, ours, 2, body=b"v=0"
            ).encode()
            if not in_dialog:
                data = data.replace(f";tag={ours.to_tag}".encode(), b"")
            if method == "SIP/2.0":
                data = messages.ok(INVITE).encode()
            await ua.peer.says(data[:at] + junk + data[at + len(junk) // 2 :])
            await asyncio.sleep(1)

    run_virtual(send_corrupted())


async def test_an_exception_in_the_invite_callback_gives_500_and_the_core_goes_on() -> None:
    def broken(invite: object) -> None:
        raise RuntimeError("a bug")

    async def scene() -> None:
        async with running_user_agent() as ua:
            ua.core._invited = broken
            await ua.peer.says(INVITE)
            await ua.peer.hears(500)
            await ua.peer.says(messages.request("OPTIONS", branch="z9hG4bK7", cseq=2))
            await ua.peer.hears(200)

    with pytest.raises(AssertionError, match="request not handled"):
        await scene()


async def test_an_exception_in_a_trace_callback_is_logged_and_contained() -> None:
    async def scene() -> None:
        async with running_user_agent() as ua:
            ua.core.traces.append(lambda direction, flow, message: 1 / 0)
            await ua.peer.says(INVITE)
            await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="message not handled"):
        await scene()


async def test_a_parse_error_raised_by_the_invite_callback_gives_400(ua: UserAgent) -> None:
    def reads(invite: object) -> None:
        raise ParseError("P-Asserted-Identity")

    ua.core._invited = reads
    await ua.peer.says(INVITE)
    await ua.peer.hears(400)


# Requests outside any dialog.


async def test_the_200_to_options_has_allow_accept_and_a_to_tag_rfc3261_11_2(ua: UserAgent) -> None:
    await ua.peer.says(messages.request("OPTIONS"))
    response = await ua.peer.hears(200)
    assert "REFER" in response.headers.get("Allow")
    assert response.headers.get("Accept") == "application/sdp"
    assert response.to_tag
    await ua.assert_clean()


async def test_options_gets_503_while_draining_rfc3261_11_2(ua: UserAgent) -> None:
    ua.core.draining = True
    await ua.peer.says(messages.request("OPTIONS"))
    await ua.peer.hears(503)
    await ua.assert_clean()


@pytest.mark.parametrize(
    ("method", "to_tag", "status"),
    [
        ("BYE", "gone", 481), ("BYE", None, 481), ("INVITE", "gone", 481), ("UPDATE", None, 481),
        ("NOTIFY", None, 481), ("CANCEL", None, 481), ("REFER", None, 603), ("OPTIONS", "gone", 481),
    ],
)  # fmt: skip
async def test_a_request_that_matches_no_dialog_is_refused(
    ua: UserAgent, method: str, to_tag: str | None, status: int
) -> None:
    await ua.peer.says(messages.request(method, to_tag=to_tag))
    await ua.peer.hears(status)


@pytest.mark.parametrize("method", ["SUBSCRIBE", "MESSAGE", "PUBLISH"])
async def test_a_known_but_unsupported_method_gets_405_with_allow_rfc3261_8_2_1(
    ua: UserAgent, method: str
) -> None:
    await ua.peer.says(messages.request(method))
    assert "INVITE" in (await ua.peer.hears(405)).headers.get("Allow")


@pytest.mark.parametrize("to_tag", [None, "gone"])
async def test_an_unknown_method_gets_501_with_allow_rfc3261_21_5_2(
    ua: UserAgent, to_tag: str | None
) -> None:
    await ua.peer.says(messages.request("IN%56ITE", to_tag=to_tag))
    assert "INVITE" in (await ua.peer.hears(501)).headers.get("Allow")
    await ua.peer.says(messages.request("FOO", branch="z9hG4bK2").encode().replace(b"1 FOO", b"1 INVITE"))
    assert "INVITE" in (await ua.peer.hears(501)).headers.get("Allow")


async def test_options_with_max_forwards_0_gets_200_rfc4475_3_3_11(ua: UserAgent) -> None:
    await ua.peer.says(messages.request("OPTIONS").encode().replace(b"Forwards: 70", b"Forwards: 0"))
    await ua.peer.hears(200)


async def test_a_response_with_more_than_one_via_is_dropped_rfc3261_8_1_3_3(ua: UserAgent) -> None:
    _, task, invite = await ua.start_call()
    stray = messages.response(invite, 486)
    stray.headers.add("Via", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKx")
    ua.peer.repeats(invite, stray)
    await asyncio.sleep(1)
    assert not task.done()
    assert ua.unreadable == ["response with the Via of another"]
    ua.peer.answers(invite, 603)
    with pytest.raises(Rejected):
        await task


async def test_sdp_in_a_multipart_2xx_is_found_rfc5621_5(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    body = b"--b\r\nContent-Type: application/sdp\r\n\r\n" + messages.SDP + b"\r\n--b--"
    ok = messages.response(invite, 200, body=body, contact="<sip:bob@192.0.2.1:5060>")
    ok.headers.set("Content-Type", "multipart/mixed;boundary=b")
    ua.peer.repeats(invite, ok)
    await task
    assert ("answered", messages.SDP) in leg.media.calls
    leg.end(EndReason.HUNG_UP)


async def test_responses_and_acks_that_match_nothing_are_ignored(ua: UserAgent) -> None:
    await ua.peer.says(messages.ok(INVITE))
    await ua.peer.says(messages.request("ACK", to_tag="x"))
    await ua.peer.says(messages.request("ACK"))
    await ua.peer.hears_nothing(for_s=5)
    await ua.assert_clean()


async def test_a_retransmitted_invite_starts_no_second_call(ua: UserAgent) -> None:
    await ua.peer.says(INVITE)
    transaction = await ua.invited()
    await ua.peer.says(INVITE)
    transaction.reply(180)
    await ua.peer.hears(180)
    await ua.peer.says(INVITE)
    await ua.peer.hears(180)
    assert ua.invitations.empty()
    transaction.reply(486)
    await ua.assert_clean()


async def test_a_merged_request_gets_482_rfc3261_8_2_2_2(ua: UserAgent) -> None:
    await ua.peer.says(INVITE)
    transaction = await ua.invited()
    await ua.peer.says(messages.invite(branch="z9hG4bKother"))
    merged = await ua.peer.hears(482)
    assert merged.via.branch == "z9hG4bKother"
    await ua.peer.says(messages.invite(branch="z9hG4bKthird"))
    await ua.peer.hears(482)
    await ua.peer.says(messages.invite(branch="z9hG4bKnext", cseq=2))
    (await ua.invited()).reply(486)
    transaction.reply(486)
    await ua.assert_clean()
    await ua.peer.says(messages.invite(branch="z9hG4bKlater"))
    (await ua.invited()).reply(486)


async def test_a_peer_over_ipv6_gets_ipv6_uris_in_brackets_and_our_ipv6_port_rfc3261_25_1(
    ua: UserAgent,
) -> None:
    six = "2001:db8::7"
    ua.core.advertised.ports6["udp"] = 5066
    peer = Peer(ua.wire, six)
    await peer.start()
    plain = messages.request("OPTIONS", sent_by="[2001:db8::9]:5060").encode().replace(b";rport", b"")
    await peer.says(plain)
    assert (await peer.hears(200)).via.params.get("received") == six  # §25.1: no brackets
    leg = ua.leg("agent")
    outgoing = Outgoing(f"sip:bob@[{six}]:5060", f"<sip:us@{HOST}>")
    task = asyncio.ensure_future(leg.invite(outgoing))
    invite = await peer.hears("INVITE")
    assert invite.uri == "sip:bob@[2001:db8::7]:5060"
    assert invite.via.sent_by == f"{HOST}:5066"
    assert invite.contact.uri.port == 5066
    assert leg.media.ip_version == 6
    peer.answers(invite, 486)
    with pytest.raises(Rejected):
        await task
    await ua.assert_clean()


async def test_our_advertised_address_has_the_ip_version_of_the_peer(ua: UserAgent) -> None:
    there = Advertised("203.0.113.10", {"tcp": 5060}, "[2001:db8::1]")
    four, six = (
        SimpleNamespace(transport="tcp", remote=(host, 1), local=("::", 7)) for host in (PEER, "::2")
    )
    assert there.towards(four) == "203.0.113.10:5060"
    assert there.towards(six) == "[2001:db8::1]:5060"
    there.ports.clear()
    assert there.towards(six) == "[2001:db8::1]:7"
    there.ports6["tcp"] = 5070
    assert (there.towards(four), there.towards(six)) == ("203.0.113.10:5070", "[2001:db8::1]:5070")


async def test_received_and_rport_are_added_to_the_via_of_a_response_rfc3581_4(ua: UserAgent) -> None:
    await ua.peer.says(messages.request("OPTIONS", sent_by="host.example.com:5070"))
    via = (await ua.peer.hears(200)).via
    assert (via.host, via.received, via.params.get("rport")) == ("host.example.com", "192.0.2.1", "5060")
    plain = messages.request("OPTIONS", branch="z9hG4bK9", cseq=2).encode().replace(b";rport", b"")
    await ua.peer.says(plain)
    assert "received" not in str((await ua.peer.hears(200)).via)
    natted = plain.replace(b"192.0.2.1:5060;branch=z9hG4bK9", b"10.0.0.1;branch=z9hG4bK8").replace(
        b" 2 ", b" 3 "
    )
    await ua.peer.says(natted)
    via = (await ua.peer.hears(200)).via
    assert (via.received, via.params.get("rport")) == ("192.0.2.1", None)


async def test_a_udp_response_goes_to_the_source_port_even_without_rport(ua: UserAgent) -> None:
    """RFC 3261 §18.2.2 sends it to the port in the Via, which a NAT makes unreachable."""
    plain = messages.request("OPTIONS", sent_by="192.0.2.1:5090").encode().replace(b";rport", b"")
    await ua.peer.says(plain)
    assert (await ua.peer.hears(200)).via.port == 5090


# Closing.


async def test_a_closed_core_leaves_no_tasks_or_timers_and_sends_nothing(ua: UserAgent) -> None:
    invite = messages.invite(headers=[("Supported", "timer"), ("Session-Expires", "600;refresher=uac")])
    leg, ours = await ua.answered_leg(invite)
    await ua.peer.says(from_caller(invite, "INVITE", ours, 2, body=messages.SDP))  # its 200 awaits the ACK
    dialing, task, _ = await ua.start_call()
    await ua.peer.says(messages.request("OPTIONS", call_id="other"))
    offering = asyncio.ensure_future(leg.offer())
    ua.core.spawn(asyncio.sleep(1000))
    await asyncio.sleep(0.1)
    await ua.core.close()
    assert pending_timers() == []
    assert not any(ua.core.left_over().values())
    assert leg.ended.result() is EndReason.DRAINING
    ends = await asyncio.gather(task, offering, return_exceptions=True)
    assert [isinstance(end, Exception) for end in ends] == [True, True]
    dialing.end(EndReason.DRAINING)
    await ua.peer.says(messages.request("OPTIONS", branch="z9hG4bK77"))
    await ua.peer.hears_nothing(for_s=100)
    assert pending_timers() == []


async def test_an_invite_after_close_raises_transport_failed(ua: UserAgent) -> None:
    await ua.core.close()
    with pytest.raises(TransportFailed):
        await ua.leg().invite(Outgoing("sip:a@192.0.2.1", "<sip:b@x>"))
    assert pending_timers() == []
    assert not any(ua.core.left_over().values())


async def test_sent_and_received_messages_are_traced(ua: UserAgent) -> None:
    seen: list[str] = []
    ua.core.traces.append(lambda way, flow, message: seen.append(f"{way} {message.start_line[:11]}"))
    await ua.peer.says(messages.request("OPTIONS"))
    await ua.peer.hears(200)
    assert seen == ["< OPTIONS sip", "> SIP/2.0 200"]


async def test_a_lost_connection_fails_only_the_calls_on_it(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    _, here, invite = await ua.start_call()
    _, there, _ = await ua.start_call("sip:b@192.0.2.7;transport=tcp", peer)
    ua.wire.cut(ua.wire.flows()[0])
    with pytest.raises(TransportFailed):
        await there
    assert not here.done()
    ua.peer.answers(invite, 486)
    await asyncio.gather(here, return_exceptions=True)
    await ua.assert_clean()


async def test_a_retransmitted_bye_of_the_called_peer_gets_200_each_time(ua: UserAgent) -> None:
    leg, invite = await ua.connected_leg()
    await ua.peer.says(from_callee(invite, "BYE"))
    await ua.peer.says(from_callee(invite, "BYE"))
    await asyncio.sleep(1)
    assert ua.peer.count(200) == 2
    assert leg.ended.result() is EndReason.HUNG_UP
    await ua.assert_clean()


def test_the_contact_has_the_port_and_transport_of_the_listener() -> None:
    async def contacts() -> list[str]:
        async with running_user_agent() as ua:
            peer = Peer(ua.wire, "192.0.2.7", "tls")
            await peer.start()
            udp = await ua.network.connect(Target("udp", ("192.0.2.1", 5060), "x"))
            tls = await ua.network.connect(Target("tls", ("192.0.2.7", 5061), "x"))
            return [ua.core.contact(flow, "me") for flow in (udp, tls)]

    assert run_virtual(contacts()) == [
        f"<sip:me@{HOST}:5060>",
        f"<sip:me@{HOST}:5061;transport=tls>",
    ]


async def test_a_connection_is_welcome_if_its_address_is_admitted_or_it_has_a_dialog(ua: UserAgent) -> None:
    _, ours = await ua.answered_leg()
    stranger = await stranger_at(ua, "tls")
    await stranger.says(messages.request("OPTIONS", sent_by=f"{STRANGER}:5061"))
    await asyncio.sleep(1)
    ends = [flow for flow in ua.network.streams if flow.remote[0] == STRANGER]
    assert [ua.core.welcomes(flow) for flow in ends] == [False]
    await stranger.says(from_caller(INVITE, "OPTIONS", ours, 2))
    await stranger.hears(200)
    assert [ua.core.welcomes(flow) for flow in ends] == [True]
    ua.wire.cut(ends[0])
    assert not ua.core.welcomes(ends[0])


async def test_a_connection_is_needed_while_a_transaction_dialog_or_other_user_needs_it(
    ua: UserAgent,
) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    uri = "sip:p@192.0.2.7:5061;transport=tls"
    leg, calling, invite = await ua.start_call(uri, peer)
    [flow] = ua.network.streams
    assert ua.core.needs(flow)
    peer.answers(invite, 200, contact="<sip:p@192.0.2.7:5061>")
    await calling
    await asyncio.sleep(100)
    assert ua.core.needs(flow)
    leg.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    await asyncio.sleep(100)
    assert not ua.core.needs(flow)
    ua.core.also_needed.append(lambda one: one is flow)
    assert ua.core.needs(flow)


async def test_with_mutual_tls_the_via_alias_parameter_makes_a_connection_reusable_rfc5923_5(
    ua: UserAgent,
) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    aliases: list[tuple[Flow, int]] = []
    ua.network.alias = lambda flow, port: aliases.append((flow, port))  # type: ignore[method-assign]
    await peer.says(messages.request("OPTIONS", transport="TLS", sent_by="192.0.2.7:5071;alias"))
    await peer.hears(200)
    assert aliases == []
    [flow] = ua.network.streams
    flow.mutual = True
    for call, sent_by in (("2", "192.0.2.7:5071;alias"), ("3", "192.0.2.7;alias"), ("4", "192.0.2.7")):
        options = messages.request(
            "OPTIONS", transport="TLS", sent_by=sent_by, call_id=call, branch=f"z9hG4bK{call}"
        )
        await peer.says(options)
        await peer.hears(200)
    assert aliases == [(flow, 5071), (flow, 5061)]
    ua.core.launch(messages.request("OPTIONS", call_id="5"), flow, NullUser())
    assert (await peer.hears("OPTIONS")).via.params.has("alias")


async def test_a_request_in_a_recently_ended_dialog_gets_481_even_from_an_unknown_address_rfc5407_3_2_2(
    ua: UserAgent,
) -> None:
    """The peer's address is unknown to the gate, and its request may have crossed the BYE."""
    leg, response = await ua.answered_leg()
    ua.strangers.add(PEER)
    first = messages.invite()
    await ua.peer.says(from_caller(first, "BYE", response, 5))
    await ua.peer.hears(200)
    assert leg.ended.done()
    await ua.peer.says(from_caller(first, "REFER", response, 6))
    await ua.peer.hears(481)
    await ua.peer.says(messages.request("REFER", to_tag="guess", branch="z9hG4bKguess"))
    await ua.peer.hears_nothing(5)
    assert ua.turned_away == [PEER]
    assert not ua.core._proven_flows


async def test_the_connection_of_a_barred_address_is_closed(ua: UserAgent) -> None:
    stranger = Peer(ua.wire, STRANGER, "tcp")
    await stranger.start()
    await stranger.says(messages.request("OPTIONS", transport="TCP"))
    await asyncio.sleep(1)
    [flow] = [flow for flow in ua.network.streams if flow.remote[0] == STRANGER]
    assert not flow.closed
    ua.barred.add(STRANGER)
    await stranger.says(messages.request("OPTIONS", transport="TCP"))
    await asyncio.sleep(1)
    assert flow.closed
