"""AES-CM keys and key stream: vectors of RFC 3711 Appendix B and RFC 6188 §7 (libsrtp: test_srtp.py)."""

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from proxy.media.aes_cm import CmReceiver, CmSender, SessionKeys, Window, header_size
from proxy.media.sdes import AES_256_CM_80, AES_CM_128_80, Crypto

MASTER_128 = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6")
MASTER_256 = bytes.fromhex(
    "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b63b04803de51ee7c96423ab5b78d2"
)


def _derived(suite, master):
    """Cipher key stream of SSRC 0, index 0 (from key and salt), and authentication key."""
    keys = SessionKeys(Crypto(1, suite, master), 0)
    return keys.crypted(bytes(32), 0, 0), keys._auth


def _stream(key, salt):
    start = bytes.fromhex(salt) + bytes(2)
    return Cipher(algorithms.AES(bytes.fromhex(key)), modes.CTR(start)).encryptor().update(bytes(32))


def test_session_keys_match_the_vectors_of_rfc3711_b_3():
    stream, auth = _derived(AES_CM_128_80, MASTER_128)
    assert stream == _stream("c61e7a93744f39ee10734afe3ff7a087", "30cbbc08863d8c85d49db34a9ae1")
    assert auth.hex() == "cebe321f6ff7716b6fd4ab49af256a156d38baa4"


def test_session_keys_match_the_vectors_of_rfc6188_7_2():
    stream, auth = _derived(AES_256_CM_80, MASTER_256)
    key = "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"
    assert auth.hex() == "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"
    assert stream == _stream(key, "fa31791685ca444a9e07c6c64e93")


@pytest.mark.parametrize(
    ("suite", "key", "first"),
    [
        (AES_CM_128_80, "2b7e151628aed2a6abf7158809cf4f3c", "e03ead0935c95e80e166b16dd92b4eb4"),
        (
            AES_256_CM_80,
            "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
            "92bdd28a93c3f52511c677d08b5515a4",
        ),
    ],
    ids=["rfc3711_b_2", "rfc6188_7_1"],
)
def test_key_stream_matches_the_published_vectors(suite, key, first):
    keys = SessionKeys(Crypto(1, suite, bytes(suite.master_bytes)), 0)
    keys._ecb = Cipher(algorithms.AES(bytes.fromhex(key)), modes.ECB()).encryptor()
    keys._salt = int("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000", 16)
    assert keys.crypted(bytes(16), 0, 0).hex() == first
    assert keys.crypted(bytes(33), 0, 0)[:16].hex() == first


def test_replay_window_rejects_used_and_too_old_indices_rfc3711_3_3_2():
    window = Window()
    for sequence in (500, 502, 501):
        index = window.index(sequence)
        assert index == sequence
        window.use(index)
    assert window.index(501) == -1
    assert window.index(502 - 127) == 375
    assert window.index(502 - 128) == -1


def test_sequence_wrap_increments_the_roll_over_counter_rfc3711_3_3_1():
    window = Window()
    window.use(window.index(65534))
    assert window.index(1) == 0x10001
    window.use(0x10001)
    assert window.index(65535) == 65535
    assert window.index(2) == 0x10002


def test_packet_from_before_roll_over_count_zero_is_rejected():
    window = Window()
    window.use(window.index(3))
    assert window.index(65535) == -1


@pytest.mark.parametrize(
    ("packet", "size"),
    [
        (bytes([0x80]) + bytes(11), 12),
        (bytes([0x82]) + bytes(19), 20),
        (bytes([0x82]) + bytes(18), 0),
        (bytes([0x90]) + bytes(13) + b"\0\2" + bytes(8), 24),
        (bytes([0x90]) + bytes(13) + b"\xff\xff" + bytes(8), 0),
        (bytes([0x90]) + bytes(11), 0),
        (bytes([0x40]) + bytes(20), 0),
        (bytes([0x80]) + bytes(10), 0),
        (bytes([0x80]) + bytes(5000), 0),
        (b"", 0),
    ],
)
def test_encryption_starts_after_csrcs_and_extension_rfc3711_3_1(packet, size):
    assert header_size(packet) == size


def test_authenticated_but_unencrypted_srtcp_is_rejected():
    crypto = Crypto(1, AES_256_CM_80, MASTER_256)
    receiver = CmReceiver(crypto)
    keys = SessionKeys(crypto, 3)
    report = bytes.fromhex("80c8000600000001") + bytes(20)
    plain = report + (1).to_bytes(4)
    assert receiver.unprotect_rtcp(plain + keys.tag(plain, 10)) is None
    assert receiver.unprotect_rtcp(CmSender(crypto).protect_rtcp(report)) == report
