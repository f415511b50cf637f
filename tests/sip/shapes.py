"""Sample messages: real ones with numbers, names and addresses for documentation, and a minimal one."""

SIGNALWIRE_INVITE = """\
INVITE sip:inbound@sbc.example.com:5060;transport=UDP SIP/2.0
Record-Route: <sip:198.51.100.114:5060;r2=on;lr;ftag=0eKrUHDBKvXFB;nat=yes>
Record-Route: <sip:198.51.100.114:5061;transport=tls;r2=on;lr;ftag=0eKrUHDBKvXFB;nat=yes>
Via: SIP/2.0/UDP 198.51.100.114:5060;branch=z9hG4bK8c51.5a3160c67f160008b7c6e49421e7930c.0;i=9eed1
Via: SIP/2.0/TLS 192.0.2.13:35181;received=192.0.2.13;rport=36607;branch=z9hG4bKX0c5vFHtS656r
Max-Forwards: 61
From: <sip:+13475550148@sip.signalwire.com>;tag=0eKrUHDBKvXFB
To: <sip:inbound@sbc.example.com:5060;transport=UDP>
Call-ID: 14f108a5-c92b-4602-b14f-0012b70eddcd
CSeq: 105354320 INVITE
Contact: <sip:mod_sofia@192.0.2.13:35181;transport=tls;swrad=192.0.2.13~36607~3>
User-Agent: SignalWire
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY
Supported: timer, path, replaces
Allow-Events: talk, hold, conference, refer
Session-Expires: 600;refresher=uac
Min-SE: 90
Content-Type: application/sdp
Content-Disposition: session
Content-Length: 272

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
""".replace("\n", "\r\n").encode()
"""From a trunk over UDP: two Record-Routes, a second Via with TLS, an unknown Contact parameter."""

KAMAILIO_INVITE = """\
INVITE sip:proj_XXXXXXXXXXXXXXXXXXXXXXXX@sip.api.openai.com SIP/2.0
Record-Route: <sip:203.0.113.10:5060;transport=tcp;r2=on;lr=on;ftag=0eKrUHDBKvXFB;did=e61.bc32>
Record-Route: <sip:203.0.113.10;r2=on;lr=on;ftag=0eKrUHDBKvXFB;did=e61.bc32>
Record-Route: <sip:198.51.100.114:5060;r2=on;lr;ftag=0eKrUHDBKvXFB;nat=yes>
Record-Route: <sip:198.51.100.114:5061;transport=tls;r2=on;lr;ftag=0eKrUHDBKvXFB;nat=yes>
Via: SIP/2.0/TCP 203.0.113.10:5060;branch=z9hG4bK8c51.14a3f766560b05f82e8410daa22ef588.0
Via: SIP/2.0/UDP 198.51.100.114:5060;branch=z9hG4bK8c51.5a3160c67f160008b7c6e49421e7930c.0;i=9eed1
Via: SIP/2.0/TLS 192.0.2.13:35181;received=192.0.2.13;rport=36607;branch=z9hG4bKX0c5vFHtS656r
Max-Forwards: 60
From: <sip:+13475550148@sip.signalwire.com>;tag=0eKrUHDBKvXFB
To: <sip:inbound@sbc.example.com:5060;transport=UDP>
Call-ID: 14f108a5-c92b-4602-b14f-0012b70eddcd
CSeq: 105354320 INVITE
Contact: <sip:mod_sofia@192.0.2.13:35181;transport=tls;swrad=192.0.2.13~36607~3>
User-Agent: SignalWire
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY
Supported: timer, path, replaces
Allow-Events: talk, hold, conference, refer
Session-Expires: 600;refresher=uac
Min-SE: 90
Content-Type: application/sdp
Content-Length: 272

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
""".replace("\n", "\r\n").encode()
"""From a proxy to the agent: three Vias, four Record-Routes, the carrier's Contact."""

OPENAI_200 = """\
SIP/2.0 200 OK
Via: SIP/2.0/TLS sbc.example.com:5061;branch=z9hG4bKa1b2c3
From: <sip:+13475550148@sbc.example.com>;tag=a1
To: <sip:proj_XXXXXXXXXXXXXXXXXXXXXXXX@sip.api.openai.com>;tag=b2
Call-ID: 5f0c1d6e
CSeq: 1 INVITE
Contact: <sip:OAI@sip.api.openai.com:5061>
Content-Type: application/sdp
Content-Length: 202

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
""".replace("\n", "\r\n").encode()
"""From the agent: few headers, a Contact without transport, no direction in the SDP."""

HEAD = (
    "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1",
    "Max-Forwards: 70",
    "From: <sip:a@example.com>;tag=1",
    "To: <sip:b@example.com>",
    "Call-ID: c1",
    "CSeq: 1 INVITE",
)
"""The header lines of a minimal INVITE."""


def wire(start: str = "INVITE sip:b@example.com SIP/2.0", *more: str, body: str = "") -> bytes:
    """A minimal message; a line in `more` replaces the line of the same name."""
    replaced = {line.partition(":")[0] for line in more}
    lines = [start, *(line for line in HEAD if line.partition(":")[0] not in replaced), *more, "", body]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")
