"""Request inspection before method processing (RFC 3261 §8.2.2.3, §8.2.3)."""

import pytest

from proxy.ua.request_checks import refusal
from tests.kit import messages


@pytest.mark.parametrize(
    ("headers", "kind", "refused"),
    [
        ([], "application/sdp", None),
        ([("Require", "timer"), ("Require", "")], "application/sdp", None),
        ([("Require", "Timer, 199, x")], "application/sdp", (420, [("Unsupported", "199, x")])),
        ([("Accept", "text/plain")], "application/sdp", (406, [])),
        ([], "text/plain", (415, [("Accept", "application/sdp")])),
        ([("Content-Encoding", "gzip")], "application/sdp", (415, [("Accept-Encoding", "identity")])),
        ([("e", "Identity")], "application/sdp", None),
        ([("Content-Disposition", "x;handling=required")], "application/pkcs7-mime", (493, [])),
        ([], "application/pkcs7-mime", (415, [("Accept", "application/sdp")])),
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_unacceptable_offer_gets_its_status_and_what_we_accept_rfc3261_8_2(
    method: str, headers: list[tuple[str, str]], kind: str, refused: object
) -> None:
    request = messages.request(method, headers=headers, body=messages.SDP, content_type=kind)
    assert refusal(request, ("timer",)) == refused


def test_body_type_and_accept_are_not_checked_for_other_methods_rfc3261_8_2_3() -> None:
    headers = [("Accept", "text/plain")]
    request = messages.request("NOTIFY", headers=headers, body=b"x", content_type="message/sipfrag")
    assert refusal(request, ()) is None
