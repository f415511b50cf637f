"""DigestClient: answering 401 and 407."""

import hashlib

import pytest

from proxy.sip.digest import Challenge, DigestClient, DigestRefused, parse_challenge
from proxy.sip.errors import ParseError
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response


def request(
    method: str = "INVITE", uri: str = "sip:b@example.com", number: int = 1, body: bytes = b""
) -> Request:
    return Request(method, uri, Headers([("Call-ID", "c1"), ("CSeq", f"{number} {method}")]), body)


def challenged(*values: str, status: int = 407) -> Response:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return Response(status, "", Headers([(name, value) for value in values]))


def repeated(original: Request, credentials: Headers) -> Request:
    """The request as the user agent repeats it: next CSeq, new credentials instead of the old ones."""
    again = request(original.method, original.uri, original.cseq.number + 1, original.body)
    for name, value in credentials:
        again.headers.add(name, value)
    return again


def params(value: str | None) -> dict[str, str]:
    assert value is not None
    assert value.startswith("Digest ")
    pairs = (pair.partition("=") for pair in value.removeprefix("Digest ").split(", "))
    return {name: text.strip('"') for name, _, text in pairs}


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


RFC7616_CHALLENGE = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
RFC7616_MD5 = "8ca523f5e9506fed4657c9700eebdbec"
RFC7616_SHA256 = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


@pytest.mark.parametrize(("algorithm", "proof"), [("MD5", RFC7616_MD5), ("SHA-256", RFC7616_SHA256)])
def test_credentials_match_the_example_of_the_rfc_rfc7616_3_9_1(algorithm: str, proof: str) -> None:
    answer = DigestClient("Mufasa", "Circle of Life").authorize(
        request("GET", "/dir/index.html"),
        challenged(RFC7616_CHALLENGE.format(algorithm), status=401),
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert answer.get("Authorization") == (
        'Digest username="Mufasa", realm="http-auth@example.org", '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", uri="/dir/index.html", '
        f'response="{proof}", algorithm={algorithm}, qop=auth, nc=00000001, '
        'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )


def test_of_several_algorithms_for_a_realm_the_strongest_supported_is_answered_rfc8760() -> None:
    offered = [RFC7616_CHALLENGE.format(name) for name in ("MD5", "SHA-256", "SHA-512-256", "MD5-sess")]
    client = DigestClient("Mufasa", "Circle of Life")
    answer = client.authorize(request(), challenged(*offered), "x")
    assert len(answer) == 1
    assert params(answer.get("Proxy-Authorization"))["algorithm"] == "SHA-256"


RFC2617 = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'


@pytest.mark.parametrize(
    ("challenge", "proof"),
    [
        (RFC2617 + ', qop="auth,auth-int"', "6629fae49393a05397450978507c4ef1"),
        (RFC2617, "670fd8c2df070c60b045671b8b24ff02"),
    ],
)
def test_the_response_matches_the_example_of_the_rfc_rfc2617_3_5(challenge: str, proof: str) -> None:
    client = DigestClient("Mufasa", "Circle Of Life")
    answer = client.authorize(
        request("GET", "/dir/index.html"), challenged(challenge, status=401), "0a4f113b"
    )
    assert params(answer.get("Authorization"))["response"] == proof


def test_without_qop_there_is_no_cnonce_and_no_nonce_count_rfc2069() -> None:
    answer = params(
        DigestClient("u", "p").authorize(request(), challenged(RFC2617), "x").get("Proxy-Authorization")
    )
    assert set(answer) == {"username", "realm", "nonce", "uri", "response"}


def test_auth_int_hashes_the_body_rfc7616_3_4_3() -> None:
    client = DigestClient("u", "p")
    challenge = 'Digest realm="r", nonce="n", qop="auth-int"'
    answer = params(
        client.authorize(request(body=b"v=0"), challenged(challenge), "x").get("Proxy-Authorization")
    )
    act = md5(f"INVITE:sip:b@example.com:{md5('v=0')}")
    assert answer["qop"] == "auth-int"
    assert answer["response"] == md5(f"{md5('u:r:p')}:n:00000001:x:auth-int:{act}")


def test_a_sess_algorithm_keeps_its_first_cnonce_rfc7616_3_4_2() -> None:
    client = DigestClient("u", "p")
    response = challenged('Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess')
    secret = md5(f"{md5('u:r:p')}:n:one")
    for number, cnonce in ((1, "one"), (5, "two")):
        answer = params(client.authorize(request(number=number), response, cnonce).get("Proxy-Authorization"))
        count = "00000001" if cnonce == "one" else "00000002"
        assert (answer["cnonce"], answer["nc"]) == ("one", count)
        assert answer["response"] == md5(f"{secret}:n:{count}:one:auth:{md5('INVITE:sip:b@example.com')}")


def test_a_sess_algorithm_without_qop_still_sends_its_cnonce() -> None:
    response = challenged('Digest realm="r", nonce="n", algorithm=SHA-256-sess')
    answer = params(DigestClient("u", "p").authorize(request(), response, "x").get("Proxy-Authorization"))
    assert answer["cnonce"] == "x"
    assert "nc" not in answer


def test_a_quote_in_the_username_is_escaped() -> None:
    answer = DigestClient('a"b', "p").authorize(request(), challenged('Digest realm="r", nonce="n"'), "x")
    value = answer.get("Proxy-Authorization")
    assert value is not None
    assert 'username="a\\"b"' in value


def test_each_realm_of_proxy_and_www_authenticate_is_answered_rfc3261_22_3() -> None:
    response = challenged('Digest realm="one", nonce="1"', 'Digest realm="two", nonce="2"')
    response.headers.add("WWW-Authenticate", 'Digest realm="three", nonce="3"')
    answer = DigestClient("u", "p").authorize(request(), response, "x")
    assert [params(value)["realm"] for value in answer.get_all("Proxy-Authorization")] == ["one", "two"]
    assert [params(value)["realm"] for value in answer.get_all("Authorization")] == ["three"]


def test_a_later_challenge_keeps_the_credentials_for_the_first_rfc3261_22_3() -> None:
    client = DigestClient("u", "p")
    first = request()
    second = repeated(
        first, client.authorize(first, challenged('Digest realm="proxy", nonce="1", qop=auth'), "x")
    )
    answer = client.authorize(
        second, challenged('Digest realm="server", nonce="2", qop=auth', status=401), "y"
    )
    assert params(answer.get("Authorization"))["nc"] == "00000001"
    assert params(answer.get("Proxy-Authorization"))["nc"] == "00000002"


def test_credentials_from_elsewhere_are_not_repeated() -> None:
    first = request()
    first.headers.add("Authorization", 'Digest realm="other", nonce="9"')
    first.headers.add("Proxy-Authorization", "Bearer x")
    answer = DigestClient("u", "p").authorize(first, challenged('Digest realm="r", nonce="1"'), "x")
    assert len(answer) == 1


def test_a_realm_that_is_not_utf8_is_hashed_as_its_raw_bytes() -> None:
    answer = DigestClient("u", "p").authorize(
        request(), challenged('Digest realm="caf\udce9", nonce="1"'), "x"
    )
    secret = hashlib.md5(b"u:caf\xe9:p", usedforsecurity=False).hexdigest()
    act = md5("INVITE:sip:b@example.com")
    assert params(answer.get("Proxy-Authorization"))["response"] == md5(f"{secret}:1:{act}")


def test_the_nonce_count_increases_with_each_request_and_restarts_with_a_new_nonce_rfc7616_3_4() -> None:
    client = DigestClient("u", "p")
    response = challenged('Digest realm="r", nonce="n", qop="auth"')
    counts = [
        params(client.authorize(request(number=number), response, "x").get("Proxy-Authorization"))["nc"]
        for number in (1, 3, 5)
    ]
    assert counts == ["00000001", "00000002", "00000003"]
    fresh = challenged('Digest realm="r", nonce="m", qop="auth"')
    answer = client.authorize(request(number=7), fresh, "x")
    assert params(answer.get("Proxy-Authorization"))["nc"] == "00000001"


@pytest.mark.parametrize("nonce", ["n", "m"])
def test_refused_credentials_are_not_sent_again_rfc3261_22_2(nonce: str) -> None:
    client = DigestClient("u", "wrong")
    first = request()
    second = repeated(first, client.authorize(first, challenged('Digest realm="r", nonce="n"'), "x"))
    with pytest.raises(DigestRefused, match="credentials refused for realm r"):
        client.authorize(second, challenged(f'Digest realm="r", nonce="{nonce}"'), "y")


def test_a_second_challenge_to_the_same_request_is_refused() -> None:
    client = DigestClient("u", "wrong")
    response = challenged('Digest realm="r", nonce="n"')
    client.authorize(request(), response, "x")
    with pytest.raises(DigestRefused):
        client.authorize(request(), response, "y")


def test_a_stale_nonce_is_retried_once_rfc7616_3_3() -> None:
    client = DigestClient("u", "p")
    first = request()
    second = repeated(
        first, client.authorize(first, challenged('Digest realm="r", nonce="a", qop=auth'), "x")
    )
    fresh = challenged('Digest realm="r", nonce="b", qop=auth, stale=TRUE')
    answer = client.authorize(second, fresh, "y")
    assert params(answer.get("Proxy-Authorization"))["nonce"] == "b"
    third = repeated(second, answer)
    with pytest.raises(DigestRefused):
        client.authorize(third, challenged('Digest realm="r", nonce="b", qop=auth, stale=true'), "z")
    with pytest.raises(DigestRefused):
        client.authorize(third, challenged('Digest realm="r", nonce="c", qop=auth, stale=true'), "z")


@pytest.mark.parametrize(
    "value",
    [
        'Digest realm="r", nonce="n", algorithm=AKAv1-MD5',
        'Digest realm="r", nonce="n", qop="token"',
        'Digest realm="r"',
        'Basic realm="r"',
        'Digest realm="r", nonce="open',
    ],
)
def test_a_challenge_with_unsupported_algorithm_qop_or_scheme_is_refused(value: str) -> None:
    client = DigestClient("u", "p")
    with pytest.raises(DigestRefused, match="no usable digest challenge in 407"):
        client.authorize(request(), challenged(value), "x")
    answer = client.authorize(request(), challenged(value, 'Digest realm="r", nonce="n"'), "x")
    assert len(answer) == 1


def test_a_challenge_is_parsed_in_any_case_and_spacing() -> None:
    text = (
        'dIGEST  Realm = "a, \\"b\\"" ,nonce="n==",opaque="", stale=True, algorithm="md5", '
        'qop=" Auth , AUTH-INT", domain="sip:x", nonce="later" , '
    )
    assert parse_challenge(text) == Challenge('a, \\"b\\"', "n==", "", True, "md5", ("auth", "auth-int"))
    assert parse_challenge("Digest realm=r, nonce=n") == Challenge("r", "n", None, False, None, ())


@pytest.mark.parametrize(
    "text", ["", "Digest", "Basic x", "Digest realm", 'Digest nonce="n"', "Digest realm=a b"]
)
def test_a_malformed_challenge_raises_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_challenge(text)
