"""Mutual TLS without sockets: verified names of a peer, and which peers are rejected."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from proxy.transport.devcert import CLIENT_AUTH, SERVER_AUTH, Authority, make_authority
from proxy.transport.identity import SIP_DOMAIN
from proxy.transport.tls import ClientRules, ClientTls, ServerContext, ServerTls
from proxy.transport.tls_engine import TlsEngine
from proxy.transport.tls_policy import TlsPolicy
from tests.transport.recorder import ca_file, server_tls
from tests.transport.test_tls import shake


@pytest.fixture
def handshake(tmp_path, authority):
    """The handshake of a client with such a certificate and a server that requests one."""

    def shake_hands(
        *names: str,
        clients: str = "require",
        issuer: Authority | None = None,
        policy: TlsPolicy | None = None,
        shows: bool = True,
        **extra: object,
    ) -> tuple[TlsEngine, TlsEngine]:
        ca = ca_file(tmp_path, authority)
        own = server_tls(tmp_path, authority, "edge.example")
        policy = policy or TlsPolicy()
        server = ServerContext(ServerTls(own.certificate, own.key, policy, clients, ca)).engine()
        shown = tmp_path / "client.pem", tmp_path / "client.key"
        for path, content in zip(shown, (issuer or authority).issue(list(names), **extra), strict=True):  # type: ignore[arg-type]
            path.write_bytes(content)
        rules = ClientRules(ca, (), *(shown if shows else ()))
        client = ClientTls(rules=rules).engine("edge.example")
        shake(client, server)
        return client, server

    return shake_hands


@pytest.mark.parametrize(
    "usages",
    [(SERVER_AUTH, CLIENT_AUTH), (CLIENT_AUTH,), (SERVER_AUTH,), (SIP_DOMAIN,), ()],
    ids=["both", "client", "server", "sipDomain", "none"],
)
def test_client_is_authenticated_by_a_certificate_of_any_tls_or_sip_usage_rfc5924_4(handshake, usages):
    client, server = handshake("carrier.example", ekus=usages)
    assert server.established
    assert server.peer_names == {"carrier.example"}
    assert server.mutual
    assert client.mutual
    assert client.peer_names == {"edge.example"}


def test_client_certificate_for_another_purpose_is_refused(handshake):
    client, server = handshake("carrier.example", ekus=[ExtendedKeyUsageOID.CODE_SIGNING])
    assert not server.established
    assert server.blame == "certificate"
    assert "its certificate is not for SIP peers (extended key usage)" in str(server.failure)
    assert client.failure is not None


@pytest.mark.parametrize("policy", [TlsPolicy(max_version="1.2"), TlsPolicy(min_version="1.3")])
def test_client_without_a_certificate_is_refused_if_required(handshake, policy):
    _, server = handshake("carrier.example", policy=policy, shows=False)
    assert not server.established
    assert "peer did not return a certificate" in str(server.failure)


def test_client_certificate_of_an_untrusted_ca_is_refused_if_required(handshake):
    _, server = handshake("carrier.example", issuer=make_authority("another"))
    assert not server.established
    assert "authority that is not trusted here" in str(server.failure)


def test_expired_client_certificate_is_refused_if_required(handshake):
    _, server = handshake("carrier.example", starts=datetime(2020, 1, 1, tzinfo=UTC))
    assert "its certificate has expired" in str(server.failure)


@pytest.mark.parametrize("shows", [True, False])
def test_client_without_a_valid_requested_certificate_is_accepted_unauthenticated(handshake, shows):
    _, server = handshake("carrier.example", clients="request", issuer=make_authority("another"), shows=shows)
    assert server.established
    assert server.peer_names == frozenset()
    assert not server.mutual


def test_valid_requested_certificate_authenticates_the_client(handshake):
    _, server = handshake("carrier.example", clients="request")
    assert server.peer_names == {"carrier.example"}


def test_no_client_certificate_is_presented_unless_requested(handshake):
    _, server = handshake("carrier.example", clients="off")
    assert server.established
    assert server.peer_names == frozenset()


def test_peer_names_prefer_sip_uris_and_exclude_wildcards_rfc5922_7_1(handshake):
    _, server = handshake(
        "dns.example", "*.dns.example", uri_sans=["sip:carrier.example", "sip:me@other.example"]
    )
    assert server.peer_names == {"carrier.example"}
    _, server = handshake("dns.example", "*.dns.example")
    assert server.peer_names == {"dns.example"}


def test_no_peer_names_before_the_handshake_is_over(tmp_path, authority):
    server = ServerContext(server_tls(tmp_path, authority, "a.example")).engine()
    assert server.peer_names == frozenset()
    client = ClientTls(ca_file(tmp_path, authority)).engine("a.example")
    assert client.peer_names == frozenset()
    assert not client.mutual


@pytest.mark.parametrize(
    ("names", "uris", "asked", "loose", "strict"),
    [
        (["a.example"], [], "a.example", True, True),
        (["*.example.com"], [], "sip.example.com", True, False),
        (["a.example"], ["sip:b.example"], "a.example", True, False),
        (["a.example"], ["sip:b.example"], "b.example", True, True),
        (["a.example"], ["sip:b.example"], "c.example", False, False),
    ],
)
def test_server_name_is_matched_by_web_rules_or_strictly_rfc5922_7(
    tmp_path, authority, names, uris, asked, loose, strict
):
    certificate, key = authority.issue(names, uri_sans=uris)
    (tmp_path / "c.pem").write_bytes(certificate)
    (tmp_path / "k.pem").write_bytes(key)
    ca = ca_file(tmp_path, authority)
    for by_the_letter, good in ((False, loose), (True, strict)):
        server = ServerContext(ServerTls(tmp_path / "c.pem", tmp_path / "k.pem")).engine()
        client = ClientTls(rules=ClientRules(ca, strict=by_the_letter)).engine(asked)
        shake(client, server)
        assert client.established is good


def test_configured_certificate_name_overrides_the_host(tmp_path, authority):
    server = ServerContext(server_tls(tmp_path, authority, "sip.carrier.example")).engine()
    client = ClientTls(rules=ClientRules(ca_file(tmp_path, authority), name="sip.carrier.example")).engine(
        "192.0.2.1"
    )
    shake(client, server)
    assert client.peer_name == "sip.carrier.example"


def test_rsa_key_exchange_with_cbc_is_used_if_configured(tmp_path, authority):
    """Bandwidth accepts nothing else."""
    certificate, key = authority.issue(["a.example"], rsa_bits=2048)
    (tmp_path / "c.pem").write_bytes(certificate)
    (tmp_path / "k.pem").write_bytes(key)
    old = TlsPolicy(max_version="1.2", ciphers="AES128-SHA:AES256-SHA256")
    server = ServerContext(ServerTls(tmp_path / "c.pem", tmp_path / "k.pem", old)).engine()
    client = ClientTls(rules=ClientRules(ca_file(tmp_path, authority), policy=old)).engine("a.example")
    shake(client, server)
    assert (client.version, client.cipher) == ("TLSv1.2", "AES128-SHA")


def test_no_common_tls_version_is_a_protocol_failure(tmp_path, authority):
    own = server_tls(tmp_path, authority, "a.example")
    server = ServerContext(ServerTls(own.certificate, own.key, TlsPolicy(max_version="1.2"))).engine()
    client = ClientTls(
        rules=ClientRules(ca_file(tmp_path, authority), policy=TlsPolicy(min_version="1.3"))
    ).engine("a.example")
    shake(client, server)
    assert server.blame == "protocol"
    assert client.failure is not None
