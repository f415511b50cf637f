"""Reading and editing SDP in the lab's peer."""

from proxy.lab.message_templates import OPENAI_SDP, SIGNALWIRE_SDP, sdp
from proxy.lab.peer_sdp import directed, moved_to, place, revised
from tests.kit.user_agents import Voice


def test_sdp_is_parsed_and_its_address_direction_and_version_are_rewritten():
    theirs = sdp(SIGNALWIRE_SDP)
    assert place(theirs, sdp(OPENAI_SDP)) == (("192.0.2.13", 24586), 0)
    assert place(theirs.replace(b"24586", b"0"), theirs) is None
    assert place(b"v=0\r\n", theirs) is None
    assert place(theirs.replace(b"AVP 0 8", b"AVP 9"), theirs) is None
    moved = moved_to(theirs, Voice())
    assert b"192.0.2.13" not in moved
    assert b"a=rtcp:7001 IN IP4 192.0.2.200" in moved
    assert directed(directed(theirs, "sendonly"), "sendrecv").count(b"a=send") == 1
    assert b"o=FreeSWITCH 1759790112 1759790115 IN" in revised(theirs, 2)
