"""SRTP in every suite: libsrtp and our own code check each other, or `_opened_gcm` checks libsrtp."""

from itertools import pairwise

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from proxy.media.aes_cm import MAX_SSRCS, CmReceiver, CmSender
from proxy.media.rtp import HEADER
from proxy.media.sdes import (
    AEAD_128_GCM,
    AEAD_256_GCM,
    AES_256_CM_32,
    AES_256_CM_80,
    AES_CM_128_32,
    AES_CM_128_80,
    SUITES,
    Crypto,
)
from proxy.media.srtp import receiver, sender

REPORT = bytes.fromhex("80c800060000abcd") + bytes(range(20))


@pytest.fixture(params=SUITES.values(), ids=list(SUITES))
def crypto(request):
    return _crypto(request.param)


def _crypto(suite, salt=0):
    return Crypto(1, suite, bytes((7 * n + salt) % 256 for n in range(suite.master_bytes)))


def _packet(sequence, payload=bytes(range(160)), ssrc=0xABCD):
    return HEADER.pack(0x80, 0, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, ssrc) + payload


def test_protected_packet_is_encrypted_and_decrypts_back(crypto):
    sends, opens = sender(crypto), receiver(crypto)
    for sequence in range(100):
        sealed = sends.protect(_packet(sequence))
        assert len(sealed) == 172 + crypto.suite.tag_bytes
        assert sealed[:12] == _packet(sequence)[:12]
        assert bytes(range(20, 40)) not in sealed
        assert opens.unprotect(sealed) == _packet(sequence)
    assert opens.unauthentic == 0


def test_srtcp_has_a_tag_of_at_least_80_bits_rfc4568_6_2_2(crypto):
    sends, opens = sender(crypto), receiver(crypto)
    sealed = [sends.protect_rtcp(REPORT) for _ in range(3)]
    assert len(sealed[0]) == len(REPORT) + 4 + max(10, crypto.suite.tag_bytes)
    assert len(set(sealed)) == 3
    assert opens.unprotect_rtcp(sealed[0]) == REPORT
    assert opens.unprotect(sealed[1]) == REPORT
    assert opens.unprotect_rtcp(sealed[1]) is None


def test_replay_is_dropped_and_not_counted_as_unauthentic_rfc3711_3_3_2(crypto):
    sends, opens = sender(crypto), receiver(crypto)
    sealed = [sends.protect(_packet(sequence)) for sequence in range(300)]
    assert all(opens.unprotect(each) for each in sealed)
    assert not any(opens.unprotect(each) for each in sealed)
    assert opens.unauthentic == 0


def test_reordered_packets_are_decrypted_rfc3711_3_3_2(crypto):
    sends, opens = sender(crypto), receiver(crypto)
    sealed = {sequence: sends.protect(_packet(sequence)) for sequence in range(50)}
    for sequence in (10, 9, 12, 11, 49, 0):
        assert opens.unprotect(sealed[sequence]) == _packet(sequence)


def test_packets_under_the_wrong_key_are_dropped_and_counted(crypto):
    sends, opens = sender(crypto), receiver(_crypto(crypto.suite, salt=1))
    assert not any(opens.unprotect(sends.protect(_packet(sequence))) for sequence in range(10))
    assert opens.unprotect_rtcp(sends.protect_rtcp(REPORT)) is None
    assert opens.unauthentic == 11


@pytest.mark.parametrize("place", [1, 3, 5, 11, 12, 100, -1])
def test_tampered_packet_is_dropped_and_the_original_still_decrypted(crypto, place):
    sends, opens = sender(crypto), receiver(crypto)
    sealed = sends.protect(_packet(7))
    changed = bytearray(sealed)
    changed[place] ^= 1
    assert opens.unprotect(bytes(changed)) is None
    assert opens.unauthentic == 1
    assert opens.unprotect(sealed) == _packet(7)


def test_plain_rtp_is_dropped_as_unauthentic(crypto):
    opens = receiver(crypto)
    assert opens.unprotect(_packet(7)) is None
    assert opens.unauthentic == 1


@pytest.mark.parametrize("size", [*range(40), 172, 1500, 2304, 2305, 4096, 65507])
def test_malformed_packets_of_any_length_are_dropped(crypto, size):
    opens, sends = receiver(crypto), sender(crypto)
    for first in (0x80, 0x8F, 0x90, 0x9F, 0xBF, 0x00, 0xFF):
        for second in (0, 200, 255):
            packet = (bytes([first, second]) + b"\xff" * size)[:size]
            assert opens.unprotect(packet) is None
            assert opens.unprotect_rtcp(packet) is None
            sends.protect(packet)
            sends.protect_rtcp(packet)


@given(st.binary(max_size=200), st.sampled_from(list(SUITES.values())))
def test_arbitrary_bytes_are_dropped(packet, suite):
    opens = receiver(_crypto(suite))
    assert opens.unprotect(packet) is None
    assert opens.unprotect_rtcp(packet) is None


def test_sequence_roll_over_is_followed_rfc3711_3_3_1(crypto):
    sends, opens = sender(crypto), receiver(crypto)
    sealed = [sends.protect(_packet(65500 + n)) for n in range(100)]
    assert [opens.unprotect(each) for each in sealed] == [_packet(65500 + n) for n in range(100)]
    late = receiver(crypto)
    assert [late.unprotect(each) for each in sealed[50:]] == [None] * 50, "it cannot know of the roll-over"


def test_sequence_number_is_never_reused_rfc3711_9_1(crypto):
    sends = sender(crypto)
    assert sends.protect(_packet(7))
    assert sends.protect(_packet(7, bytes(160))) is None


def test_each_ssrc_has_its_own_sequence_rfc3711_3_2_3(crypto):
    sends, opens = sender(crypto), receiver(crypto)
    for ssrc in (1, 2, 1):
        for sequence in (ssrc * 100, ssrc * 100 + 1):
            sealed = sends.protect(_packet(sequence, ssrc=ssrc))
            expected = None if sealed is None else _packet(sequence, ssrc=ssrc)
            assert (sealed and opens.unprotect(sealed)) == expected
    assert opens.unprotect(sends.protect(_packet(102, ssrc=1))) == _packet(102, ssrc=1)


def test_peer_may_change_its_ssrc_200_times(crypto):
    sends, opens = sender(crypto), receiver(crypto)
    for ssrc in range(200):
        assert opens.unprotect(sends.protect(_packet(1, ssrc=ssrc))) == _packet(1, ssrc=ssrc)


def test_ssrcs_of_one_peer_are_limited(crypto):
    sends, opens = sender(crypto), receiver(crypto)
    opened = [opens.unprotect(sends.protect(_packet(1, ssrc=n))) is not None for n in range(MAX_SSRCS + 10)]
    assert opened == [True] * MAX_SSRCS + [False] * 10
    assert opens.unprotect(sends.protect(_packet(2, ssrc=1))) == _packet(2, ssrc=1)


def test_forged_ssrcs_do_not_count_against_the_limit(crypto):
    sends, opens, other = sender(crypto), receiver(crypto), sender(_crypto(crypto.suite, salt=1))
    for n in range(100):
        assert opens.unprotect(other.protect(_packet(1, ssrc=n))) is None
    assert opens.unprotect(sends.protect(_packet(1))) == _packet(1)


def test_csrcs_and_extension_stay_unencrypted_rfc3711_3_1(crypto):
    sends, opens = sender(crypto), receiver(crypto)
    header = HEADER.pack(0x92, 0, 1, 160, 0xABCD) + b"csrccsrc" + b"\xbe\xde\0\1" + b"extn"
    sealed = sends.protect(header + bytes(160))
    assert sealed.startswith(header)
    assert opens.unprotect(sealed) == header + bytes(160)


@pytest.mark.parametrize("suite", [AES_CM_128_80, AES_CM_128_32])
def test_our_aes_cm_and_libsrtp_give_identical_packets(suite):
    crypto = _crypto(suite)
    theirs, own = sender(crypto), CmSender(crypto)
    opens, own_opens = receiver(crypto), CmReceiver(crypto)
    for n in range(300):
        packet = _packet(65400 + n, bytes(n))
        sealed = own.protect(packet)
        assert sealed == theirs.protect(packet)
        assert opens.unprotect(sealed) == own_opens.unprotect(sealed) == packet
        report = REPORT + bytes(4 * (n % 5))
        sealed = own.protect_rtcp(report)
        assert sealed == theirs.protect_rtcp(report)
        assert opens.unprotect_rtcp(sealed) == own_opens.unprotect_rtcp(sealed) == report


def _derived(crypto, label, size):
    """Derive a session key: RFC 3711 §4.3 with the PRF of RFC 7714 §11 (AES-CM, salt padded with zeros)."""
    key, salt = crypto.master[: crypto.suite.key_bytes], crypto.master[crypto.suite.key_bytes :]
    start = (int.from_bytes(salt + bytes(2)) ^ (label << 48)) << 16
    return Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16))).encryptor().update(bytes(size))


def _opened_gcm(key, salt, sealed):
    """Decrypt a packet with a rollover counter of 0 (RFC 7714 §8.1)."""
    nonce = int.from_bytes(bytes(2) + sealed[8:12] + bytes(4) + sealed[2:4]) ^ int.from_bytes(salt)
    return AESGCM(key).decrypt(nonce.to_bytes(12), sealed[12:], sealed[:12])


RFC7714_PACKET = bytes.fromhex("8040f17b8041f8d35501a0b2")
RFC7714_PAYLOAD = b"Gallia est omnis divisa in partes tres"
RFC7714_SALT = b"Quid pro quo"


@pytest.mark.parametrize(
    ("size", "sealed"),
    [
        (
            16,
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
            "899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            32,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b"
            "7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ],
    ids=["16.1.1", "16.2.1"],
)
def test_reference_decrypts_the_vectors_of_rfc7714_16(size, sealed):
    packet = RFC7714_PACKET + bytes.fromhex(sealed)
    assert _opened_gcm(bytes(range(size)), RFC7714_SALT, packet) == RFC7714_PAYLOAD


@pytest.mark.parametrize("suite", [AEAD_128_GCM, AEAD_256_GCM])
def test_reference_decrypts_what_libsrtp_encrypts_rfc7714(suite):
    crypto = _crypto(suite)
    key, salt = _derived(crypto, 0, suite.key_bytes), _derived(crypto, 2, 12)
    sealed = sender(crypto).protect(RFC7714_PACKET + RFC7714_PAYLOAD)
    assert _opened_gcm(key, salt, sealed) == RFC7714_PAYLOAD
    with pytest.raises(InvalidTag):
        _opened_gcm(key, salt, sealed[:-1] + bytes([sealed[-1] ^ 1]))


def test_libsrtp_matches_the_vector_of_its_own_tests():
    master = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6")
    packet = bytes.fromhex("800f1234decafbadcafebabe") + b"\xab" * 16
    sealed = sender(Crypto(1, AES_CM_128_80, master)).protect(packet)
    assert sealed.hex() == ("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb")


@pytest.mark.parametrize("suites", [*pairwise(SUITES.values())], ids=lambda pair: pair[0].name)
def test_packet_of_one_suite_is_not_decrypted_by_another(suites):
    one, other = map(_crypto, suites)
    assert receiver(other).unprotect(sender(one).protect(_packet(1))) is None


def test_every_256_bit_suite_has_a_32_byte_key():
    assert {suite.key_bytes for suite in (AES_256_CM_80, AES_256_CM_32, AEAD_256_GCM)} == {32}


def test_packets_under_the_old_key_are_accepted_until_the_new_key_is_used(crypto):
    old, new = sender(crypto), sender(_crypto(crypto.suite, salt=1))
    opens = receiver(_crypto(crypto.suite, salt=1), receiver(crypto))
    forger = sender(_crypto(crypto.suite, salt=2))
    assert opens.unprotect(old.protect(_packet(1))) == _packet(1)
    assert opens.unprotect_rtcp(old.protect_rtcp(REPORT)) == REPORT
    assert opens.unprotect(forger.protect(_packet(2))) is None
    assert opens.unauthentic == 1
    assert opens.unprotect(new.protect(_packet(2))) == _packet(2)
    assert opens.unprotect(old.protect(_packet(3))) is None
    assert opens.unprotect_rtcp(old.protect_rtcp(REPORT)) is None
    assert opens.unauthentic == 3


def test_only_the_last_two_of_three_keys_are_accepted(crypto):
    keys = [_crypto(crypto.suite, salt=n) for n in range(3)]
    opens = receiver(keys[2], receiver(keys[1], receiver(keys[0])))
    assert opens.unprotect(sender(keys[0]).protect(_packet(1))) is None
    assert opens.unprotect(sender(keys[1]).protect(_packet(1))) == _packet(1)
    assert opens.unprotect_rtcp(sender(keys[2]).protect_rtcp(REPORT)) == REPORT
    assert opens.unprotect(sender(keys[1]).protect(_packet(2))) is None
