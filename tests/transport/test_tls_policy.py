"""TLS versions and cipher suites."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from proxy.transport.tls_policy import TlsPolicy, unusable


def ciphers(policy: TlsPolicy) -> list[str]:
    return SSL.Connection(policy.context(SSL.TLS_METHOD), None).get_cipher_list()


def test_default_policy_has_the_ciphers_of_openssl():
    assert ciphers(TlsPolicy()) == SSL.Connection(SSL.Context(SSL.TLS_METHOD), None).get_cipher_list()


def test_ciphers_of_tls_1_3_and_1_2_share_one_list():
    chosen = ciphers(TlsPolicy(ciphers="TLS_AES_128_GCM_SHA256:AES128-SHA:AES256-SHA256"))
    assert chosen == ["TLS_AES_128_GCM_SHA256", "AES128-SHA", "AES256-SHA256"]


def test_tls_1_3_ciphers_alone_leave_the_others_at_their_default():
    assert "ECDHE-RSA-AES128-GCM-SHA256" in ciphers(TlsPolicy(ciphers="TLS_AES_128_GCM_SHA256"))


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("AES128-SHA:AES256-SHA256", None),
        ("DEFAULT:!aNULL:-AES128-SHA:+SHA1:@SECLEVEL=1", None),
        ("AES128-SHA:AES128-SHB", "AES128-SHB"),
        ("TLS_AES_128_GCM_SHA256:TLS_NONE", "TLS_NONE"),
        ("AES128-SHA::AES256-SHA", ""),
        ("AES128-SHÄ", "AES128-SHÄ"),
        ("AES128-SHA:!AES128-SHA", "AES128-SHA:!AES128-SHA"),
    ],
)
def test_unusable_returns_the_first_unknown_cipher(written: str, wrong: str | None):
    assert unusable(written) == wrong
