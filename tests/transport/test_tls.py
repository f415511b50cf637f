"""TlsEngine without sockets: the test passes the bytes of each side to the other."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

import pytest
from cryptography import x509
from OpenSSL import SSL
from structlog.testing import capture_logs

from proxy.transport.devcert import SERVER_AUTH, Authority, make_authority
from proxy.transport.flow import TransportFailed
from proxy.transport.identity import SIP_DOMAIN, ClientCheck
from proxy.transport.tls import ClientTls, ServerContext, ServerTls
from proxy.transport.tls_engine import TlsEngine
from proxy.transport.tls_policy import TlsPolicy
from tests.transport.recorder import ca_file, server_tls


def shake(client: TlsEngine, server: TlsEngine) -> None:
    """Pass the handshake back and forth until neither side has anything to send."""
    to_server, to_client = client.start(), server.start()
    while to_server or to_client:
        from_client, to_client = to_client, b""
        _, to_client = server.feed(to_server) if to_server else (b"", b"")
        _, more = client.feed(from_client) if from_client else (b"", b"")
        to_server = more


def pair(
    tmp_path: Path, authority: Authority, names: list[str], asked: str, **extra: object
) -> tuple[TlsEngine, TlsEngine]:
    certificate, key = authority.issue(names, **extra)  # type: ignore[arg-type]
    (tmp_path / "c.pem").write_bytes(certificate)
    (tmp_path / "k.pem").write_bytes(key)
    server = ServerContext(ServerTls(tmp_path / "c.pem", tmp_path / "k.pem")).engine()
    client = ClientTls(ca_file(tmp_path, authority)).engine(asked)
    shake(client, server)
    return client, server


def test_handshake_is_established_on_both_sides_with_the_name_verified(tmp_path, authority):
    client, server = pair(tmp_path, authority, ["sip.example.com"], "sip.example.com")
    assert client.established
    assert server.established
    assert client.peer_name == "sip.example.com"
    assert server.peer_name is None
    assert client.version == "TLSv1.3"


def test_data_is_transferred_unchanged_both_ways(tmp_path, authority):
    client, server = pair(tmp_path, authority, ["a.example"], "a.example")
    big = os.urandom(100_000)
    assert server.feed(client.send(big))[0] == big
    assert client.feed(server.send(b"pong"))[0] == b"pong"


def test_data_fed_byte_by_byte_is_received(tmp_path, authority):
    client, server = pair(tmp_path, authority, ["a.example"], "a.example")
    came = b"".join(server.feed(bytes([byte]))[0] for byte in client.send(b"INVITE"))
    assert came == b"INVITE"


@pytest.mark.parametrize("most", [4, 40, 400, 4000])
def test_record_is_read_once_complete_however_the_stream_is_split_rfc8446_5_1(tmp_path, authority, most):
    client, server = pair(tmp_path, authority, ["a.example"], "a.example")
    draw = random.Random(most)
    texts = [b"%d " % number * draw.randint(1, 60) for number in range(200)]
    records = [client.send(text) for text in texts]
    stream, came, fed = b"".join(records), b"", 0
    while fed < len(stream):
        # A cut where a record ends as often as elsewhere, so that one comes alone after one that came in two.
        ends = [end for end in accumulate(map(len, records)) if end > fed]
        upto = draw.choice([ends[0], fed + draw.randint(1, most)])
        came += server.feed(stream[fed:upto])[0]
        fed = min(upto, len(stream))
        whole = sum(end <= fed for end in accumulate(map(len, records)))
        assert came == b"".join(texts[:whole])


def test_false_record_header_inside_a_record_delays_nothing(tmp_path, authority):
    client, server = pair(tmp_path, authority, ["a.example"], "a.example")
    texts = [os.urandom(2000) for _ in range(40)]
    records = [client.send(text) for text in texts]
    stream, ends = b"".join(records), list(accumulate(map(len, records)))
    cut, end = next(
        (at, at + 5 + length)
        for at in range(1, len(stream) - 5)
        if stream[at] == 23 and at not in ends
        for length in [int.from_bytes(stream[at + 3 : at + 5])]
        if 4000 < length < len(stream) - at - 5
    )
    came = server.feed(stream[:cut])[0] + server.feed(stream[cut:end])[0]
    assert came == b"".join(texts[: sum(one <= end for one in ends)])


def test_close_notify_ends_the_session_after_the_last_data(tmp_path, authority):
    client, server = pair(tmp_path, authority, ["a.example"], "a.example")
    last = client.send(b"bye") + client.close()
    assert server.feed(last)[0] == b"bye"
    assert server.ended
    assert server.failure is None


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["sip.example.com"], "SIP.Example.COM"),
        (["sip.example.com"], "sip.example.com."),
        (["*.example.com"], "sip.example.com"),
        (["other.example", "sip.example.com"], "sip.example.com"),
    ],
)
def test_certificate_for_the_name_is_accepted_rfc6125_6_4(tmp_path, authority, names, asked):
    assert pair(tmp_path, authority, names, asked)[0].established


@pytest.mark.parametrize(
    ("names", "asked", "found"),
    [
        (["wrong.example"], "sip.example.com", "wrong.example"),
        (["*.example.com"], "example.com", "*.example.com"),
        (["*.example.com"], "a.b.example.com", "*.example.com"),
        (["s*.example.com"], "sip.example.com", "s*.example.com"),
        (["*.com"], "example.com", "*.com"),
        ([], "screendoor", "no name at all"),
    ],
)
def test_certificate_for_another_name_is_refused_naming_both(tmp_path, authority, names, asked, found):
    client, server = pair(tmp_path, authority, names, asked)
    assert not client.established
    assert client.peer_name is None
    expected = f"TLS peer {asked} refused: its certificate is for {found}, not for {asked}"
    assert str(client.failure) == expected
    assert server.failure is not None  # the refusal reached it as an alert
    assert "alert" in str(server.failure)


def test_address_matches_only_ip_entries(tmp_path, authority):
    assert pair(tmp_path, authority, ["a.example"], "127.0.0.1", ips=("127.0.0.1",))[0].established
    assert pair(tmp_path, authority, ["a.example"], "::1", ips=("::1",))[0].established
    client, _ = pair(tmp_path, authority, ["127.0.0.1"], "127.0.0.1")
    assert "is for 127.0.0.1, not for 127.0.0.1" in str(client.failure)


def test_sip_uri_without_user_identifies_a_domain_rfc5922_7_1(tmp_path, authority):
    client, _ = pair(tmp_path, authority, ["host.example"], "example.com", uri_sans=["sip:example.com"])
    assert client.established
    client, _ = pair(tmp_path, authority, ["host.example"], "example.com", uri_sans=["sip:me@example.com"])
    assert not client.established


def test_certificate_of_an_unknown_ca_is_refused(tmp_path, authority):
    certificate, key = make_authority("Somebody else").issue(["a.example"])
    (tmp_path / "c.pem").write_bytes(certificate)
    (tmp_path / "k.pem").write_bytes(key)
    server = ServerContext(ServerTls(tmp_path / "c.pem", tmp_path / "k.pem")).engine()
    client = ClientTls(ca_file(tmp_path, authority)).engine("a.example")
    shake(client, server)
    assert "comes from an authority that is not trusted here" in str(client.failure)


def test_untrusted_self_signed_certificate_is_refused(tmp_path, authority):
    alone = make_authority("alone")
    (tmp_path / "c.pem").write_bytes(alone.cert_pem)
    (tmp_path / "k.pem").write_bytes(alone.key_pem)
    server = ServerContext(ServerTls(tmp_path / "c.pem", tmp_path / "k.pem"))
    client = ClientTls(ca_file(tmp_path, authority)).engine("a.example")
    shake(client, server.engine())
    assert "its certificate is self-signed and not trusted here" in str(client.failure)


def test_untrusted_root_is_reported_with_its_place_in_the_chain(tmp_path, authority):
    stranger = make_authority("stranger")
    certificate, key = stranger.issue(["a.example"])
    (tmp_path / "c.pem").write_bytes(certificate + stranger.cert_pem)
    (tmp_path / "k.pem").write_bytes(key)
    server = ServerContext(ServerTls(tmp_path / "c.pem", tmp_path / "k.pem"))
    client = ClientTls(ca_file(tmp_path, authority)).engine("a.example")
    shake(client, server.engine())
    assert "not trusted here (1 above it)" in str(client.failure)


@pytest.mark.parametrize(
    ("starts", "reason"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), "has expired by the clock of this machine"),
        (datetime(2099, 1, 1, tzinfo=UTC), "is not valid yet by the clock of this machine"),
    ],
)
def test_expired_or_not_yet_valid_certificate_is_refused(tmp_path, authority, starts, reason):
    client, _ = pair(tmp_path, authority, ["a.example"], "a.example", starts=starts, days=10)
    assert str(client.failure) == f"TLS peer a.example refused: its certificate {reason}"


def test_certificate_with_only_the_sip_domain_usage_is_accepted_rfc5924_4_2(tmp_path, authority):
    assert pair(tmp_path, authority, ["a.example"], "a.example", ekus=[SIP_DOMAIN])[0].established
    assert pair(tmp_path, authority, ["a.example"], "a.example", ekus=[SERVER_AUTH])[0].established
    assert pair(tmp_path, authority, ["a.example"], "a.example", ekus=[])[0].established


def test_certificate_for_another_purpose_is_refused(tmp_path, authority):
    code_signing = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.3")
    client, _ = pair(tmp_path, authority, ["a.example"], "a.example", ekus=[code_signing])
    assert "is not for servers" in str(client.failure)


def test_name_is_sent_as_sni_and_an_address_is_not(tmp_path, authority):
    client = ClientTls(ca_file(tmp_path, authority))
    assert b"sip.example.com" in client.engine("sip.example.com").start()
    assert b"xn--bcher-kva.example" in client.engine("bücher.example").start()
    assert b"127.0.0.1" not in client.engine("127.0.0.1").start()


def test_name_that_cannot_be_sent_as_sni_is_refused(tmp_path, authority):
    with pytest.raises(TransportFailed, match="cannot be sent as SNI"):
        ClientTls(ca_file(tmp_path, authority)).engine(f"{'a' * 64}.example")


def test_tls_1_1_client_is_refused_with_an_alert(tmp_path, authority):
    tls = server_tls(tmp_path, authority, "a.example")
    server = ServerContext(tls).engine()
    body = b"\x03\x02" + bytes(32) + b"\x00" + b"\x00\x02\x00\x2f" + b"\x01\x00"  # version 1.1, one cipher
    hello = b"\x01" + len(body).to_bytes(3) + body
    _, answer = server.feed(b"\x16\x03\x01" + len(hello).to_bytes(2) + hello)
    assert "unsupported protocol" in str(server.failure)
    assert answer == b"\x15\x03\x02\x00\x02\x02\x46"  # fatal alert 70, protocol_version


def test_tls_1_1_server_is_refused(tmp_path, authority):
    client = ClientTls(ca_file(tmp_path, authority)).engine("a.example")
    client.start()
    body = b"\x03\x02" + bytes(32) + b"\x00" + b"\x00\x2f" + b"\x00"  # a ServerHello of 1.1
    hello = b"\x02" + len(body).to_bytes(3) + body
    client.feed(b"\x16\x03\x02" + len(hello).to_bytes(2) + hello)
    assert "unsupported protocol" in str(client.failure)


def test_tls_1_2_is_used_with_a_peer_limited_to_it(tmp_path, authority):
    tls = server_tls(tmp_path, authority, "a.example")
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate_chain_file(str(tls.certificate))
    context.use_privatekey_file(str(tls.key))
    client = ClientTls(ca_file(tmp_path, authority)).engine("a.example")
    shake(client, TlsEngine(context, ClientCheck()))
    assert client.version == "TLSv1.2"


def test_plaintext_peer_fails_the_handshake(tmp_path, authority):
    server = ServerContext(server_tls(tmp_path, authority, "a.example")).engine()
    server.feed(b"OPTIONS sip:edge@localhost SIP/2.0\r\n\r\n")
    assert str(server.failure).startswith("TLS handshake with peer failed: ")
    assert server.feed(b"more") == (b"", b"")
    assert server.close() == b""


def test_invalid_record_byte_by_byte_fails_the_session(tmp_path, authority):
    tls = server_tls(tmp_path, authority, "a.example")
    old = ServerTls(tls.certificate, tls.key, TlsPolicy(max_version="1.2"))
    server = ServerContext(old).engine()
    client = ClientTls(ca_file(tmp_path, authority)).engine("a.example")
    shake(client, server)
    assert server.feed(client.send(b"whole"))[0] == b"whole"
    for byte in b"\x63\x03\x03\x00\x30" + bytes(48):  # TLS 1.2 waits for all of it before it says no
        assert server.failure is None
        server.feed(bytes([byte]))
    assert str(server.failure).startswith("TLS session with peer failed: ")


def test_invalid_record_fails_the_session_after_earlier_data(tmp_path, authority):
    client, server = pair(tmp_path, authority, ["a.example"], "a.example")
    received, alert = server.feed(client.send(b"whole") + b"OPTIONS sip:edge@localhost SIP/2.0\r\n\r\n")
    assert received == b"whole"
    assert alert
    assert str(server.failure).startswith("TLS session with peer failed: ")


def test_damaged_record_fails_the_session_after_earlier_data(tmp_path, authority):
    client, server = pair(tmp_path, authority, ["a.example"], "a.example")
    good = client.send(b"whole")
    bad = bytearray(client.send(b"damaged"))
    bad[-1] ^= 1
    received, alert = server.feed(good + bytes(bad))
    assert received == b"whole"
    assert alert
    assert str(server.failure).startswith("TLS session with peer failed: ")
    with pytest.raises(TransportFailed):
        server.send(b"too late")


def test_sending_before_the_handshake_raises(tmp_path, authority):
    client = ClientTls(ca_file(tmp_path, authority)).engine("a.example")
    with pytest.raises(TransportFailed, match="not established"):
        client.send(b"early")
    assert client.start()
    assert client.close() == b""


def test_sending_after_close_raises(tmp_path, authority):
    client, _ = pair(tmp_path, authority, ["a.example"], "a.example")
    client.close()
    with pytest.raises(TransportFailed):
        client.send(b"late")


def test_client_that_verified_no_certificate_is_not_established(tmp_path, authority):
    server = ServerContext(server_tls(tmp_path, authority, "a.example")).engine()
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)  # a context that forgot to verify
    client = TlsEngine(context, ClientTls(ca_file(tmp_path, authority)).engine("a.example")._check)
    shake(client, server)
    assert not client.established
    assert "was not verified" in str(client.failure)


def test_system_trust_store_refuses_our_test_ca(tmp_path, authority):
    server = ServerContext(server_tls(tmp_path, authority, "a.example")).engine()
    client = ClientTls().engine("a.example")
    shake(client, server)
    assert "authority that is not trusted here" in str(client.failure)


def test_system_cas_are_trusted_unless_a_ca_file_replaces_them(tmp_path, authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file(tmp_path, authority)))
    more = make_authority()
    (tmp_path / "more.pem").write_bytes(more.cert_pem)
    for ours in (ClientTls(), ClientTls(extra_ca=[tmp_path / "more.pem"])):
        client = ours.engine("a.example")
        shake(client, ServerContext(server_tls(tmp_path, authority, "a.example")).engine())
        assert client.established
    alone = ClientTls(tmp_path / "more.pem").engine("a.example")
    shake(alone, ServerContext(server_tls(tmp_path, authority, "a.example")).engine())
    assert "authority that is not trusted here" in str(alone.failure)


def test_certificate_request_names_the_accepted_ca_rfc8446_4_2_4(tmp_path, authority):
    ca = ca_file(tmp_path, authority)
    tls = server_tls(tmp_path, authority, "a.example")
    client = ClientTls(ca).engine("a.example")
    shake(client, ServerContext(ServerTls(tls.certificate, tls.key, clients="ask", client_ca=ca)).engine())
    assert client.established
    logged = [name.CN for name in client._connection.get_client_ca_list()]
    assert logged == ["Screendoor development CA"]


def test_renewed_certificate_is_used_for_new_connections(tmp_path, authority):
    tls = server_tls(tmp_path, authority, "old.example")
    context = ServerContext(tls)
    certificate, key = authority.issue(["new.example"])
    Path(tls.key).write_bytes(key)
    os.utime(tls.key, ns=(1, 1))
    client = ClientTls(ca_file(tmp_path, authority))
    with capture_logs() as logs:
        still_old = client.engine("old.example")
        shake(still_old, context.engine())  # the key is new, the certificate is not: the pair does not fit
        context.engine()  # and that is not tried again before either of them changes
    assert still_old.established
    assert [line["event"] for line in logs] == ["certificate not reloaded, the old one stays"]
    Path(tls.certificate).write_bytes(certificate)
    os.utime(tls.certificate, ns=(1, 1))
    renewed = client.engine("new.example")
    shake(renewed, context.engine())
    assert renewed.established


def test_file_rewritten_with_the_same_mtime_is_reloaded(tmp_path, authority):
    tls = server_tls(tmp_path, authority, "old.example")
    context = ServerContext(tls)
    certificate, key = authority.issue(["new.example"])
    for file, content in ((tls.key, key), (tls.certificate, b""), (tls.certificate, certificate)):
        Path(file).write_bytes(content)
        os.utime(file, ns=(1, 1))
        context.engine()
    client = ClientTls(ca_file(tmp_path, authority)).engine("new.example")
    shake(client, context.engine())
    assert client.established


def test_renewal_in_several_steps_is_warned_of_once(tmp_path, authority):
    tls = server_tls(tmp_path, authority, "old.example")
    context = ServerContext(tls)
    with capture_logs() as logs:
        for name in ("new.example", "newer.example"):
            certificate, key = authority.issue([name])
            steps = ((tls.key, b""), (tls.key, key), (tls.certificate, b""), (tls.certificate, certificate))
            for file, content in steps:
                Path(file).write_bytes(content)
                context.engine()
    logged = [line["event"] for line in logs if line["log_level"] != "debug"]
    assert logged == ["certificate not reloaded, the old one stays", "certificate reloaded"] * 2


def test_deleted_certificate_leaves_the_old_one_in_use(tmp_path, authority):
    tls = server_tls(tmp_path, authority, "a.example")
    context = ServerContext(tls)
    Path(tls.certificate).unlink()
    client = ClientTls(ca_file(tmp_path, authority)).engine("a.example")
    shake(client, context.engine())
    assert client.established


def test_unusable_files_are_named_in_the_error(tmp_path, authority):
    tls = server_tls(tmp_path, authority, "a.example")
    with pytest.raises(TransportFailed, match=r"certificate .*none\.pem cannot be used: "):
        ServerContext(ServerTls(tmp_path / "none.pem", tls.key))
    with pytest.raises(TransportFailed, match=r"key .*none\.pem cannot be used: "):
        ServerContext(ServerTls(tls.certificate, tmp_path / "none.pem"))
    with pytest.raises(TransportFailed, match=r"key .*ca\.pem cannot be used: "):
        ServerContext(ServerTls(tls.certificate, ca_file(tmp_path, authority)))
    (tmp_path / "rsa.pem").write_bytes(authority.issue(["a.example"], rsa_bits=2048)[1])
    with pytest.raises(TransportFailed, match=r"key .*rsa\.pem cannot be used: "):
        ServerContext(ServerTls(tls.certificate, tmp_path / "rsa.pem"))
    with pytest.raises(TransportFailed, match=r"authorities in .*none\.pem cannot be used: "):
        ClientTls(tmp_path / "none.pem")
