"""DigestServer: challenges, and verification of credentials."""

from __future__ import annotations

import pytest

from proxy.sip.digest import DigestClient
from proxy.sip.digest_server import ALGORITHMS, Credentials, DigestServer, Verdict
from proxy.sip.errors import ParseError
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response

URI = "sip:sbc.example.com"
RFC7616 = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{}", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
MD5 = "8ca523f5e9506fed4657c9700eebdbec"
SHA256 = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


@pytest.fixture
def server() -> DigestServer:
    return DigestServer("sbc.example.com", b"secret", lifetime_s=60)


def register(*credentials: str, uri: str = URI) -> Request:
    lines = [("Call-ID", "c1"), ("CSeq", "1 REGISTER"), *(("Authorization", each) for each in credentials)]
    return Request("REGISTER", uri, Headers(lines))


def answered(
    server: DigestServer, now: float = 0.0, *, algorithm: str = "MD5", password: str = "pw", count: int = 1
) -> Request:
    """A REGISTER with credentials for a challenge of the server, and this nonce count."""
    challenged = Response(401, "", Headers([("WWW-Authenticate", server.challenge(now, algorithm))]))
    client = DigestClient("alice", password)
    for _ in range(count - 1):
        client.authorize(register(), challenged, "other")
        client._realms["Authorization", "sbc.example.com"].transaction = None
    return register(client.authorize(register(), challenged, "cnonce").get("Authorization") or "")


def verdict(server: DigestServer, request: Request, now: float = 1.0) -> Verdict:
    return server.verify(request, "alice", "pw", now)


@pytest.mark.parametrize(("algorithm", "proof"), [("MD5", MD5), ("SHA-256", SHA256)])
def test_credentials_of_the_rfc_example_verify_rfc7616_3_9_1(algorithm: str, proof: str) -> None:
    credentials = Credentials.parse(RFC7616.format(algorithm, proof))
    assert credentials.is_valid("GET", "Circle of Life")
    assert not credentials.is_valid("GET", "Circle of Death")
    assert not credentials.is_valid("PUT", "Circle of Life")


def test_the_response_hash_may_be_in_upper_case() -> None:
    assert Credentials.parse(RFC7616.format("MD5", MD5.upper())).is_valid("GET", "Circle of Life")


def test_algorithms_are_ordered_sha_256_before_md5_rfc8760_2_3() -> None:
    assert ALGORITHMS == ("SHA-256", "MD5")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_correct_credentials_are_accepted_rfc3261_22_1(server: DigestServer, algorithm: str) -> None:
    assert verdict(server, answered(server, algorithm=algorithm)) is Verdict.ACCEPTED


def test_a_response_hash_that_is_not_ascii_does_not_verify() -> None:
    assert not Credentials.parse(RFC7616.format("MD5", "ä\udcff")).is_valid("GET", "Circle of Life")


def test_a_wrong_password_is_refused(server: DigestServer) -> None:
    assert verdict(server, answered(server, password="pw2")) is Verdict.REFUSED


def test_another_user_with_the_same_password_is_refused(server: DigestServer) -> None:
    assert server.verify(answered(server), "bob", "pw", 1.0) is Verdict.REFUSED


@pytest.mark.parametrize(
    "credentials",
    [
        (),
        ("Basic YWxpY2U6cHc=",),
        ('Digest username="alice", realm="sbc.example.com"',),
        (RFC7616.format("MD5", MD5),),
    ],
)
def test_missing_foreign_or_incomplete_credentials_count_as_missing_rfc3261_22_3(
    server: DigestServer, credentials: tuple[str, ...]
) -> None:
    assert verdict(server, register(*credentials)) is Verdict.MISSING


def test_credentials_for_another_realm_before_ours_are_skipped(server: DigestServer) -> None:
    request = answered(server)
    both = register(RFC7616.format("MD5", MD5), request.headers.get("Authorization") or "")
    assert verdict(server, both) is Verdict.ACCEPTED


def test_an_expired_nonce_is_stale_rfc7616_3_3(server: DigestServer) -> None:
    request = answered(server, now=100.0)
    assert verdict(server, request, 161.0) is Verdict.STALE
    assert "stale=true" in server.challenge(161.0, "MD5", stale=True)


def test_a_nonce_made_with_another_secret_is_stale_and_not_refused(server: DigestServer) -> None:
    other = DigestServer("sbc.example.com", b"another secret")
    assert verdict(server, answered(other)) is Verdict.STALE


@pytest.mark.parametrize("nonce", ["", "%%%", "AAAA", "AAAAAAAAAAAAAAAAAAAA"])
def test_a_nonce_that_we_did_not_issue_is_stale(server: DigestServer, nonce: str) -> None:
    challenged = Response(
        401,
        "",
        Headers([("WWW-Authenticate", f'Digest realm="sbc.example.com", nonce="{nonce}", qop="auth"')]),
    )
    answer = DigestClient("alice", "pw").authorize(register(), challenged, "x").get("Authorization") or ""
    assert verdict(server, register(answer)) is Verdict.STALE


def test_repeated_credentials_are_stale_rfc7616_5_5(server: DigestServer) -> None:
    request = answered(server)
    assert verdict(server, request) is Verdict.ACCEPTED
    assert verdict(server, request) is Verdict.STALE


def test_a_nonce_is_reusable_with_a_higher_nonce_count_only_rfc7616_3_4(
    server: DigestServer,
) -> None:
    challenged = Response(401, "", Headers([("WWW-Authenticate", server.challenge(0.0, "MD5"))]))
    client = DigestClient("alice", "pw")
    requests = []
    for number in range(3):
        asked = Request("REGISTER", URI, Headers([("Call-ID", "c1"), ("CSeq", f"{number} REGISTER")]))
        requests.append(register(client.authorize(asked, challenged, "x").get("Authorization") or ""))
    first, second, third = requests
    assert verdict(server, first) is Verdict.ACCEPTED
    assert verdict(server, third) is Verdict.ACCEPTED
    assert verdict(server, second) is Verdict.STALE


@pytest.mark.parametrize(
    ("this", "that"),
    [
        ("qop=auth, ", ""),
        ("qop=auth", "qop=auth-int"),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=0000000g"),
        ("nc=00000001", "nc=00000000"),
        ("algorithm=MD5", "algorithm=MD5-sess"),
        ("algorithm=MD5", "algorithm=SHA-512-256"),
    ],
)
def test_credentials_with_a_qop_count_or_algorithm_not_offered_are_refused_rfc7616_3_4(
    server: DigestServer, this: str, that: str
) -> None:
    line = answered(server).headers.get("Authorization") or ""
    assert this in line
    assert verdict(server, register(line.replace(this, that))) is Verdict.REFUSED


def test_credentials_for_another_uri_are_refused_rfc7616_3_4_1(server: DigestServer) -> None:
    line = answered(server).headers.get("Authorization") or ""
    assert verdict(server, register(line, uri="sip:other.example.com")) is Verdict.REFUSED
    assert verdict(server, register(line.replace(f'uri="{URI}"', 'uri="?"'))) is Verdict.REFUSED


def test_credentials_for_an_equivalent_uri_are_accepted_rfc3261_19_1_4(server: DigestServer) -> None:
    line = answered(server).headers.get("Authorization") or ""
    assert verdict(server, register(line, uri="sip:SBC.example.com")) is Verdict.ACCEPTED


def test_the_number_of_stored_nonces_is_bounded_and_a_dropped_nonce_is_stale() -> None:
    server = DigestServer("sbc.example.com", b"secret", lifetime_s=60, max_nonces=10)
    requests = [(answered(server, now=float(second)), float(second)) for second in range(50)]
    for request, now in requests:
        assert verdict(server, request, now) is Verdict.ACCEPTED
        assert len(server._used) <= 10
    assert {verdict(server, request, 50.0) for request, _ in requests} == {Verdict.STALE}


def test_every_nonce_is_unique(server: DigestServer) -> None:
    assert len({server.challenge(5.0, "MD5") for _ in range(1000)}) == 1000


def test_tag_for_is_deterministic_and_depends_on_the_secret(server: DigestServer) -> None:
    assert server.tag_for("call1") == server.tag_for("call1") != server.tag_for("call2")
    assert server.tag_for("call1") != DigestServer("sbc.example.com", b"another").tag_for("call1")


def test_incomplete_credentials_raise_parse_error() -> None:
    with pytest.raises(ParseError, match="incomplete"):
        Credentials.parse('Digest username="alice", realm="sbc.example.com"')


def test_a_nonce_bound_to_a_source_is_accepted_only_from_that_source_rfc7616_5_4(
    server: DigestServer,
) -> None:
    challenged = Response(
        401, "", Headers([("WWW-Authenticate", server.challenge(0.0, "MD5", source="here"))])
    )
    credentials = DigestClient("alice", "pw").authorize(register(), challenged, "cnonce")
    request = register(credentials.get("Authorization") or "")
    verdicts = [server.verify(request, "alice", "pw", 1.0, source=each) for each in ("", "there", "here")]
    assert verdicts == [Verdict.STALE, Verdict.STALE, Verdict.ACCEPTED]
