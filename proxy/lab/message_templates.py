"""Messages of the peers as seen in real calls (numbers and addresses replaced).

They are written out in full, so that a reader sees what is sent; `filled()` inserts what differs between
calls.
"""

from __future__ import annotations

SIGNALWIRE_INVITE = """\
INVITE sip:{dialed}@{edge}{transport_param} SIP/2.0
Record-Route: <sip:{host}:{port}{route_param};r2=on;lr;ftag={tag};nat=yes>
Record-Route: <sip:{host}:{inner_port};transport=tls;r2=on;lr;ftag={tag};nat=yes>
Via: SIP/2.0/{transport} {host}:{port};branch={branch};i=9eed1
Via: SIP/2.0/TLS 192.0.2.13:35181;received=192.0.2.13;rport=36607;branch={inner_branch}
Max-Forwards: 61
From: {caller};tag={tag}
To: <sip:{dialed}@{edge}{transport_param}>
Call-ID: {call_id}
CSeq: {cseq} INVITE
Contact: <sip:mod_sofia@192.0.2.13:35181;transport=tls;swrad=192.0.2.13~36607~3>
User-Agent: SignalWire
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY
Supported: timer, path, replaces
Allow-Events: talk, hold, conference, refer
Session-Expires: 600;refresher=uac
Min-SE: 90
Content-Type: application/sdp
Content-Disposition: session
Content-Length: {length}

"""
"""SignalWire's INVITE to an SBC: two Record-Routes of one proxy (`r2=on`), an inner TLS Via, `swrad`."""

SIGNALWIRE_SDP = """\
v=0
o=FreeSWITCH 1759790112 1759790113 IN IP4 192.0.2.13
s=FreeSWITCH
c=IN IP4 192.0.2.13
t=0 0
m=audio 24586 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=rtcp:24587 IN IP4 192.0.2.13
"""

OPENAI_OK = """\
SIP/2.0 200 OK
Via: {via}
From: {from_}
To: {to}
Call-ID: {call_id}
CSeq: {cseq}
Contact: <sip:OAI@{contact}>
Content-Type: application/sdp
Content-Length: {length}

"""
"""OpenAI's 200: few headers, and a Contact without transport although it is reachable by TLS alone."""

OPENAI_SDP = """\
v=0
o=- 1759803327 1759803329 IN IP4 192.0.2.112
s=OAI
c=IN IP4 192.0.2.112
t=0 0
m=audio 47816 RTP/AVP 0 101
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=rtpmap:0 PCMU/8000
"""
"""No direction attribute, no rtcp; the rtpmap of PCMU comes last."""

PHONE_SDP = """\
v=0
o=phone 4711 4711 IN IP4 192.0.2.77
s=-
c=IN IP4 192.0.2.77
t=0 0
m=audio 31000 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
"""

CARRIER_MARKS = ("192.0.2.13", "swrad", "SignalWire", "FreeSWITCH", "ftag=", "r2=on", "mod_sofia")
"""Strings of the carrier's messages that must not appear on any other leg."""


def filled(template: str, body: bytes = b"", **values: object) -> bytes:
    """Fill in one of the templates above, with CRLF line ends, and append the body."""
    return template.format(length=len(body), **values).replace("\n", "\r\n").encode() + body


def sdp(text: str) -> bytes:
    """Convert an SDP text to CRLF line ends."""
    return text.replace("\n", "\r\n").encode()
