"""Finding the session description in a message body."""

import pytest

from proxy.sip.body import accepts_sdp, reduce_to_sdp
from proxy.sip.headers import Headers
from proxy.sip.message import Request

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
PART = b"--b\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n"
ISUP = b"--b\r\nContent-Type: application/ISUP;version=x\r\n%b\r\n\x01\x00\r\n--c\r\n"
OPTIONAL = b"Content-Disposition: signal;handling=optional\r\n"
REQUIRED = b"Content-Disposition: signal ; Handling = REQUIRED\r\n"


def reduced(kind: str | None, body: bytes, *more: tuple[str, str]) -> tuple[str | None, bytes]:
    """Content-Type and body after `reduce_to_sdp`."""
    headers = Headers([*([("c", kind)] if kind is not None else []), *more])
    request = Request("INVITE", "sip:b", headers, body)
    reduce_to_sdp(request)
    return request.headers.get("Content-Type"), request.body


@pytest.mark.parametrize("kind", [None, "application/sdp", "Application/SDP;charset=x"])
def test_sdp_that_is_the_whole_body_is_kept_unchanged(kind: str | None) -> None:
    assert reduced(kind, SDP) == (kind, SDP)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/mixed;boundary=b", PART + b"--b--"),
        ("multipart/mixed; Boundary=\"b\"", b"preamble\r\n" + PART + b"--b--\r\nepilogue\r\n--b\r\n\r\n"),
        ("MULTIPART/Alternative;x=y;boundary=b", PART[:-2]),
        ("multipart/mixed;boundary=b", ISUP % OPTIONAL + PART + b"--b--"),
        ("multipart/mixed;boundary=b", PART + ISUP % b"" + b"--b--"),
        ("multipart/mixed;boundary=b", (PART + b"--b--").replace(b"\r\n", b"\n")),
        ("multipart/mixed;boundary=b", PART + PART.replace(b"v=0", b"v=1") + b"--b-- "),
        ("multipart/mixed;boundary=a", b"--a\r\nContent-Type: multipart/signed;boundary=b\r\n\r\n" + PART
         + b"--b--\r\n--a--"),
        ("multipart/mixed;boundary=b", b"--b\r\n\r\nno headers\r\n" + PART + b"--b\r\nno end"),
    ],
)  # fmt: skip
def test_the_sdp_part_of_a_multipart_body_replaces_the_body_rfc5621_5(kind: str, body: bytes) -> None:
    found = reduced(kind, body)
    assert (found[0], found[1].replace(b"\r\n", b"\n")) == ("application/sdp", SDP.replace(b"\r\n", b"\n"))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b"hello"),
        ("multipart/mixed", PART),
        ("multipart/mixed;boundary=", PART),
        (f"multipart/mixed;boundary={'b' * 71}", PART),
        ('multipart/mixed;boundary="b', PART),
        ("multipart/mixed;boundary=b", ISUP % b"" + b"--b--"),
        ("multipart/mixed;boundary=b", PART + ISUP % REQUIRED + b"--b--"),
        ("multipart/mixed;boundary=b", b"--b\r\nContent-Type: application/sdp\r\n"
         b"Content-Transfer-Encoding: base64\r\n\r\ndj0wDQo=\r\n--b--"),
        ("multipart/mixed;boundary=b", b"nothing of the kind"),
    ],
)  # fmt: skip
def test_a_body_without_usable_sdp_is_kept_unchanged_rfc3261_8_2_3(kind: str, body: bytes) -> None:
    assert reduced(kind, body) == (kind, body)


@pytest.mark.parametrize("kind", ["text/plain", "multipart/mixed;boundary=x"])
def test_a_body_of_unknown_type_is_dropped_if_its_handling_is_optional_rfc3261_20_11(kind: str) -> None:
    assert reduced(kind, b"hello", ("Content-Disposition", "render;handling=optional")) == (None, b"")
    assert reduced(kind, b"hello", ("Content-Disposition", "render;handling=required")) == (kind, b"hello")
    assert reduced(kind, b"hello", ("Content-Disposition", "render")) == (kind, b"hello")


def test_sdp_is_found_only_to_a_limited_depth_of_nested_multiparts() -> None:
    body = PART + b"--b--"
    for depth in range(3):
        mark = f"d{depth}"
        inner = f"d{depth - 1}" if depth else "b"
        head = f"--{mark}\r\nContent-Type: multipart/mixed;boundary={inner}\r\n\r\n".encode()
        body = head + body + f"\r\n--{mark}--".encode()
        found = reduced(f"multipart/mixed;boundary={mark}", body)
        assert (found[0] == "application/sdp") is (depth < 2)


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        ([], True), ([""], True), (["application/sdp"], True), (["*/*"], True),
        (["text/x", "Application/*"], True),
        (["text/nobodyKnowsThis"], False), (["application/sdpx, image/*"], False),
    ],
)  # fmt: skip
def test_accepts_sdp_is_false_if_accept_excludes_application_sdp_rfc4475_3_3_15(
    accept: list[str], taken: bool
) -> None:
    assert accepts_sdp(Headers([("Accept", value) for value in accept])) is taken
