"""SDES keys of the lab's peers: offer, answer and the SRTP context (RFC 4568)."""

import pytest

from proxy.lab.keys import answering, offering, protected, srtp_context
from proxy.lab.message_templates import OPENAI_SDP, PHONE_SDP, SIGNALWIRE_SDP, sdp
from proxy.media.rtp import HEADER
from proxy.media.sdes import SUITES

PACKET = HEADER.pack(0x80, 0, 1, 160, 7) + bytes(160)


@pytest.mark.parametrize("suite", SUITES)
def test_two_peers_decrypt_each_others_srtp_in_each_suite(suite):
    offer = offering(sdp(SIGNALWIRE_SDP), (suite,))
    answer = answering(sdp(OPENAI_SDP), offer)
    one, other = srtp_context(offer, answer), srtp_context(answer, offer)
    assert one is not None
    assert other is not None
    assert one.keys[1] != one.keys[2]
    assert other.unprotect(one.protect(PACKET)) == PACKET
    assert one.unprotect(other.protect(PACKET)) == PACKET
    assert one.unprotect(PACKET) is None


def test_an_answer_uses_the_first_known_suite_and_the_transport_protocol_of_the_offer():
    offer = offering(sdp(SIGNALWIRE_SDP), ("F8_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"), protocol="RTP/AVP")
    answer = answering(sdp(PHONE_SDP), offer)
    assert b"a=crypto:2 AEAD_AES_128_GCM inline:" in answer
    assert b"m=audio 31000 RTP/AVP 0 8 101" in answer
    assert b"m=audio 24586 RTP/SAVP 0 8 101" in offering(sdp(SIGNALWIRE_SDP))


def test_an_offer_without_crypto_is_answered_without_crypto():
    answer = answering(sdp(PHONE_SDP), sdp(SIGNALWIRE_SDP))
    assert answer == sdp(PHONE_SDP)
    assert srtp_context(answer, sdp(SIGNALWIRE_SDP)) is None
    assert not protected(answer)
    assert protected(offering(answer))
