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
def meet(tmp_path, authority):
    """The handshake of a client with such a certificate and a server that requests one."""

    def meeting(
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

    return meeting


@pytest.mark.parametrize(
    "usages",
    [(SERVER_AUTH, CLIENT_AUTH), (CLIENT_AUTH,), (SERVER_AUTH,), (SIP_DOMAIN,), ()],
    ids=["both", "client", "server", "sipDomain", "none"],
)
def test_a_client_is_known_by_its_certificate_whatever_it_was_issued_for_rfc5924_4(meet, usages):
    client, server = meet("carrier.example", ekus=usages)
    assert server.established
    assert server.peer_names == {"carrier.example"}
    assert server.mutual
    assert client.mutual
    assert client.peer_names == {"edge.example"}


def test_a_certificate_for_something_else_is_refused(meet):
    client, server = meet("carrier.example", ekus=[ExtendedKeyUsageOID.CODE_SIGNING])
    assert not server.established
    assert server.blame == "certificate"
    assert "its certificate is not for SIP peers (extended key usage)" in str(server.failure)
    assert client.failure is not None


@pytest.mark.parametrize("policy", [TlsPolicy(max_version="1.2"), TlsPolicy(min_version="1.3")])
def test_a_client_without_a_certificate_is_refused_where_one_is_required(meet, policy):
    _, server = meet("carrier.example", policy=policy, shows=False)
    assert not server.established
    assert "peer did not return a certificate" in str(server.failure)


def test_a_client_of_an_authority_that_is_not_trusted_is_refused_where_one_is_required(meet):
    _, server = meet("carrier.example", issuer=make_authority("another"))
    assert not server.established
    assert "authority that is not trusted here" in str(server.failure)


def test_a_client_whose_certificate_has_expired_is_refused_where_one_is_required(meet):
    _, server = meet("carrier.example", starts=datetime(2020, 1, 1, tzinfo=UTC))
    assert "its certificate has expired" in str(server.failure)


@pytest.mark.parametrize("shows", [True, False])
def test_where_one_is_requested_a_client_without_a_good_one_is_let_in_as_nobody(meet, shows):
    _, server = meet("carrier.example", clients="request", issuer=make_authority("another"), shows=shows)
    assert server.established
    assert server.peer_names == frozenset()
    assert not server.mutual


def test_where_one_is_requested_a_good_one_counts(meet):
    _, server = meet("carrier.example", clients="request")
    assert server.peer_names == {"carrier.example"}


def test_where_none_is_asked_for_none_is_shown(meet):
    _, server = meet("carrier.example", clients="off")
    assert server.established
    assert server.peer_names == frozenset()


def test_sip_uris_count_before_dns_names_and_wildcards_never_rfc5922_7_1(meet):
    _, server = meet("dns.example", "*.dns.example", uri_sans=["sip:carrier.example", "sip:me@other.example"])
    assert server.peer_names == {"carrier.example"}
    _, server = meet("dns.example", "*.dns.example")
    assert server.peer_names == {"dns.example"}


def test_names_count_only_when_the_handshake_is_over(tmp_path, authority):
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
def test_a_server_is_judged_by_the_web_s_rule_or_by_rfc5922_7(
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


def test_another_name_than_the_host_may_be_asked_for(tmp_path, authority):
    server = ServerContext(server_tls(tmp_path, authority, "sip.carrier.example")).engine()
    client = ClientTls(rules=ClientRules(ca_file(tmp_path, authority), name="sip.carrier.example")).engine(
        "192.0.2.1"
    )
    shake(client, server)
    assert client.peer_name == "sip.carrier.example"


def test_rsa_key_exchange_with_cbc_at_tls_1_2_is_spoken_where_it_is_asked_for(tmp_path, authority):
    """Bandwidth accepts nothing else."""
    certificate, key = authority.issue(["a.example"], rsa_bits=2048)
    (tmp_path / "c.pem").write_bytes(certificate)
    (tmp_path / "k.pem").write_bytes(key)
    old = TlsPolicy(max_version="1.2", ciphers="AES128-SHA:AES256-SHA256")
    server = ServerContext(ServerTls(tmp_path / "c.pem", tmp_path / "k.pem", old)).engine()
    client = ClientTls(rules=ClientRules(ca_file(tmp_path, authority), policy=old)).engine("a.example")
    shake(client, server)
    assert (client.version, client.cipher) == ("TLSv1.2", "AES128-SHA")


def test_no_common_cipher_is_a_fault_of_the_protocol(tmp_path, authority):
    own = server_tls(tmp_path, authority, "a.example")
    server = ServerContext(ServerTls(own.certificate, own.key, TlsPolicy(max_version="1.2"))).engine()
    client = ClientTls(
        rules=ClientRules(ca_file(tmp_path, authority), policy=TlsPolicy(min_version="1.3"))
    ).engine("a.example")
    shake(client, server)
    assert server.blame == "protocol"
    assert client.failure is not None
