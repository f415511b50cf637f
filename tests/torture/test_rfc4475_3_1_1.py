"""RFC 4475 §3.1.1: valid but unusual messages are accepted."""

from __future__ import annotations

from tests.torture.caller import SDP, Caller
from tests.torture.edge import NUMBERS
from tests.torture.phone import answer

TORTUOUS = """
INVITE sip:someone@desk.example.com;unheardof SIP/2.0
TO :
 sip:someone@desk.example.com {to_tag}
from   : "A \\\\\\"B"       <sip:caller@example.com>
  ;
  tag = UNIQUE
MaX-fOrWaRdS: 0068
Call-ID: UNIQUE@192.0.2.1
Content-Length   : LENGTH
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /TRANSPORT
    192.0.2.2;branch=UNIQUE
s :
BrandNewHeader:   a new value
 that goes on
HeaderOfStrangeForm: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unheard=of;unheard-of>
v:  SIP  / 2.0  / TCP     axle.example.com   ;
  branch  =   z9hG4bKaxle1  ,
 SIP  /    2.0   / UDP  10.1.2.3   ; branch=
 z9hG4bKold3
m:"Quoted \\"\\"" <sip:caller@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33
"""


def test_a_short_tortuous_invite_rings_the_phone_rfc4475_3_1_1_1(caller: Caller) -> None:
    caller.rings_phone(TORTUOUS.format(to_tag=""))


def test_a_short_tortuous_invite_with_an_unknown_to_tag_gets_481_rfc4475_3_1_1_1(caller: Caller) -> None:
    response = caller.expect(481, TORTUOUS.format(to_tag=";   tag    = 77toTag1"), SDP)
    assert [str(via) for via in response.vias[1:]] == [
        "SIP/2.0/TCP axle.example.com;branch=z9hG4bKaxle1",
        "SIP/2.0/UDP 10.1.2.3;branch=z9hG4bKold3",
    ]


def test_a_method_of_unusual_characters_gets_501_with_the_headers_echoed_rfc4475_3_1_1_2(
    caller: Caller,
) -> None:
    method = "!strange-Method0123456789_*+`.%indeed'~"
    user = "1_strange.URI~(to-be!sure)&isn't+it$/odd?,/;;*"
    response = caller.expect(
        501,
        f"""
{method} sip:{user}:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0
Via: SIP/2.0/TRANSPORT hosone.example.com;branch=z9hG4bK-.!%66*_+`'~UNIQUE
To: "DEL:\\\x7f BEL:\\\x07 NUL:\\\0 ESC:\\\x1b" <sip:{user}@example.com>
From: token1~` token2'+_ token3*%!.- <sip:plain@example.com>;fromParam''~+*_!.-%="работает";tag=_~1'+`*%!-.
Call-ID: UNIQUEword%ZK-!.*_+'@word`~)(><:\\/"][?}}{{
CSeq: 20261122 {method}
Max-Forwards: 255
extensionHeader-!.%*+_`'~:\ufeff大停電
Content-Length: LENGTH
""",
    )
    assert "INVITE" in (response.headers.get("Allow") or "")
    assert '="работает"' in (response.headers.get("From") or "")
    assert "NUL:\\\0 ESC" in (response.headers.get("To") or "")


def test_an_invite_with_escaped_characters_in_uris_rings_the_phone_rfc4475_3_1_1_3(caller: Caller) -> None:
    caller.rings_phone(
        """
INVITE sip:sips%3Adoor%40example.com@example.net SIP/2.0
To: sip:d%6Fo%72@example.com
From: <sip:two%20words%20here@example.net>;tag=27
Max-Forwards: 87
i: UNIQUE
CSeq: 161803 INVITE
Via: SIP/2.0/TRANSPORT host5.example.net;branch=z9hG4bKUNIQUE
C: application/sdp
Contact:
  <sip:ca%6Cling@host5.example.net;%6C%72;k%65y=w%6Frd%25%34%32>
Content-Length: LENGTH
"""
    )


def test_escaped_nulls_in_uris_are_accepted_rfc4475_3_1_1_4(caller: Caller) -> None:
    register = """
{method} sip:zero-%00-zero@example.com SIP/2.0
To: sip:zero-%00-zero@example.com
From: sip:zero-%00-zero@example.com;tag=zero1
Max-Forwards: 70
Call-ID: UNIQUE
CSeq: 271828 {method}
Via: SIP/2.0/TRANSPORT host5.example.com;branch=z9hG4bKUNIQUE
Contact: <sip:%00@host5.example.com>
Contact: <sip:%00%00@host5.example.com>
L:LENGTH
"""
    caller.expect(405, register.format(method="REGISTER"))
    assert caller.expect(200, register.format(method="OPTIONS")).to.uri.user == "zero-%00-zero"
    caller.rings_phone(register.format(method="INVITE"))


def test_percent_signs_outside_uris_are_not_unescaped_rfc4475_3_1_1_5(caller: Caller) -> None:
    caller.expect(
        501,
        """
OP%54ION%53 sip:registrar.example.com SIP/2.0
To: "%Q%46" <sip:thing@example.com>
From: "%Q%46" <sip:thing@example.com>;tag=perc1
Call-ID: UNIQUE
Via: SIP/2.0/TRANSPORT host.example.com;branch=z9hG4bK209%gxUNIQUE
CSeq: 3141 OP%54ION%53
Max-Forwards: 70
Contact: <sip:alias1@hosone.example.com>
C%6Fntact: <sip:alias2@host2.example.com>
Contact: <sip:alias3@host3.example.com>
l: LENGTH
""",
    )


def test_no_white_space_between_display_name_and_angle_bracket_is_accepted_rfc4475_3_1_1_6(
    caller: Caller,
) -> None:
    response = caller.expect(
        200,
        """
OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: caller<sip:caller@example.com>;tag=lws1
Max-Forwards: 70
Call-ID: UNIQUE@odd.example.com
CSeq: 60 OPTIONS
Via: SIP/2.0/TRANSPORT odd.example.com;branch=z9hG4bKUNIQUE
l: LENGTH
""",
    )
    assert response.headers.get("From") == "caller<sip:caller@example.com>;tag=lws1"


def test_an_invite_with_long_header_values_rings_the_phone_rfc4475_3_1_1_7(caller: Caller) -> None:
    very = "very" * 30
    vias = "".join(f"Via: SIP/2.0/TCP host{n}.example.com;branch=z9hG4bK{very}{n}\n" for n in range(20))
    caller.rings_phone(
        f"""
INVITE sip:user@example.com SIP/2.0
To: "A name that is {very} long"<sip:user@example.com:6000;one={very}long;two{very}=short;{very}flag>
F: sip:exceedinglylong{very}caller@example.net;tag={very}UNIQUE;x{very}=y;{very}flag
Call-ID: UNIQUE{very}@host.example.com
CSeq: 48 INVITE
Unknown-{very}-Name: unknown-{very}-value; unknown-{very}-name={very}
Via: SIP/2.0/TRANSPORT sip33.example.com;branch=z9hG4bKUNIQUE{very}
{vias}Max-Forwards: 70
Contact: <sip:exceedinglylong{very}caller@host5.example.net>
Content-Type: application/sdp
l: LENGTH
"""
    )


def test_octets_after_the_message_are_ignored_in_a_datagram_and_parsed_on_a_stream_rfc4475_3_1_1_8(
    caller: Caller,
) -> None:
    both = """
OPTIONS sip:example.com SIP/2.0
To: sip:ann@example.com
From: sip:ann@example.com;tag=tail1
Max-Forwards: 8
I: UNIQUE
Contact: sip:ann@host.example.com
CSeq: 8 OPTIONS
Via: SIP/2.0/TRANSPORT 192.0.2.77;branch=z9hG4bKUNIQUE
Content-Length: 0


MESSAGE sip:ben@example.com SIP/2.0
t: sip:ben@example.com
From: sip:caller@example.net;tag=tail2
Max-Forwards: 8
Call-ID: UNIQUE2
CSeq: 8 MESSAGE
Via: SIP/2.0/TRANSPORT 192.0.2.77;branch=z9hG4bKUNIQUE2
l: 0
"""
    caller.expect(200, both)
    if caller.stream:  # on a stream the extra octets are the next message
        caller.receive(405)
    caller.expect_no_response()


def test_semicolons_in_the_user_part_are_accepted_rfc4475_3_1_1_9(caller: Caller) -> None:
    caller.expect(
        200,
        """
OPTIONS sip:door;via=a%40example.net@example.com SIP/2.0
To: sip:d_oor@example.com
From: sip:caller@example.org;tag=semi1
Max-Forwards: 3
Call-ID: UNIQUE
CSeq: 8 OPTIONS
Accept: application/sdp, application/pkcs7-mime,
        multipart/mixed, multipart/signed,
        message/sip, message/sipfrag
Via: SIP/2.0/TRANSPORT 192.0.2.1;branch=z9hG4bKUNIQUE
l: LENGTH
""",
    )


def test_vias_with_any_transport_are_accepted_and_echoed_rfc4475_3_1_1_10(caller: Caller) -> None:
    response = caller.expect(
        200,
        """
OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: <sip:caller@example.com>;tag=lws1
Max-Forwards: 70
Call-ID: UNIQUE
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP one.example.com;branch=z9hG4bKUNIQUE
Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKsctp
Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bKtls
Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKwhat
Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bKtcp
l: LENGTH
""",
    )
    assert [via.transport for via in response.vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


PARTS = b"".join(
    (
        b"--cut-here-1122\r\n",
        b"MIME-Version: 1.0\r\nContent-Type: %s\r\nContent-Transfer-Encoding: binary\r\n\r\n%s",
        b"\r\n--cut-here-1122\r\n",
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n",
        b"0\x82\x01R\x06\x00\r\n\r\n\x00--cut\xff\r\n--cut-here-1122--\r\n",
    )
)

MULTIPART = """
{method} sip:ring@example.org SIP/2.0
Via: SIP/2.0/TRANSPORT 127.0.0.1:5070;branch=z9hG4bKUNIQUE
Max-Forwards: 70
Route: <sip:127.0.0.1:5080>
From: sip:bell@example.com;tag=part1
To: <sip:ring@example.org>
Call-ID: UNIQUE
CSeq: 1 {method}
Contact: <sip:bell@127.0.0.1:5070>
Content-Transfer-Encoding: binary
Content-Type: multipart/mixed;boundary=cut-here-1122
Content-Length: LENGTH
"""


def test_multipart_bodies_with_nul_octets_are_framed_and_their_sdp_is_used_rfc4475_3_1_1_11(
    caller: Caller,
) -> None:
    caller.expect(405, MULTIPART.format(method="MESSAGE"), PARTS % (b"text/plain", b"Hello"))
    caller.expect_no_response()
    caller.rings_phone(
        MULTIPART.format(method="INVITE"), PARTS % (b"application/sdp", SDP.replace("\n", "\r\n").encode())
    )
    response = caller.expect(415, MULTIPART.format(method="INVITE"), PARTS % (b"text/plain", b"Hello"))
    assert response.headers.get("Accept") == "application/sdp"


INVITE = """
INVITE sip:{user}@example.com SIP/2.0
Via: SIP/2.0/TRANSPORT 192.0.2.1:5060;branch=z9hG4bKUNIQUE
Max-Forwards: 70
From: <sip:caller@example.com>;tag=1UNIQUE
To: <sip:{user}@example.com>
Call-ID: UNIQUE
CSeq: 61 INVITE
Contact: <sip:caller@192.0.2.1:5060>
Content-Type: application/sdp
Content-Length: LENGTH
"""


def test_a_200_with_an_unusual_reason_phrase_answers_the_call_rfc4475_3_1_1_12(caller: Caller) -> None:
    reason = "= 14**2 + 2**2, а 197 и 199 - соседи"
    caller.edge.phone.script = lambda invite: [
        answer(invite, f"SIP/2.0 200 {reason}", "Content-Type: application/sdp", body=SDP)
    ]
    invite = caller.send(INVITE.format(user=NUMBERS[caller.transport]), SDP)
    response = caller.receive(200)
    assert response.reason == "OK"  # the phone's reason phrase is not passed on
    caller.ack(invite, response)
    caller.bye(invite, response)


def test_a_200_with_an_empty_reason_phrase_answers_the_call_rfc4475_3_1_1_13(caller: Caller) -> None:
    caller.edge.phone.script = lambda invite: [
        answer(invite, "SIP/2.0 100 "),
        answer(invite, "SIP/2.0 183"),
        answer(invite, "SIP/2.0 200 ", "Content-Type: application/sdp", body=SDP),
    ]
    invite = caller.send(INVITE.format(user=NUMBERS[caller.transport]), SDP)
    response = caller.receive(200)
    caller.ack(invite, response)
    caller.bye(invite, response)
