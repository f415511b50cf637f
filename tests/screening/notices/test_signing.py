"""Webhook signatures, verified by the reference library and by OpenAI's."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import InvalidWebhookSignatureError, OpenAI
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from screening.notices.signing import EXPECTED, key, signature_headers

NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
BODY = '{"type":"call.missed","data":{"caller_name":"Zoë"}}'.encode()


def headers(*secrets: str, body: bytes = BODY) -> dict[str, str]:
    return signature_headers([key(secret) for secret in secrets], "msg-1", int(time.time()), body)


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_during_rotation_receivers_with_either_secret_accept_the_signature(secret: str) -> None:
    assert Webhook(secret).verify(BODY, headers(NEW, OLD))["type"] == "call.missed"
    OpenAI(api_key="none").webhooks.verify_signature(BODY, headers(NEW, OLD), secret=secret)


def test_a_receiver_with_another_secret_refuses_it() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, headers(NEW))
    with pytest.raises(InvalidWebhookSignatureError):
        OpenAI(api_key="none").webhooks.verify_signature(BODY, headers(NEW), secret=OLD)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY + b" ", headers(NEW))


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=24, max_size=64), st.text())
def test_signatures_of_any_key_and_body_pass_the_reference_library(secret: bytes, text: str) -> None:
    body = text.encode("utf-8", "replace")
    written = "whsec_" + base64.b64encode(secret).decode()
    Webhook(written).verify(body, headers(written, body=body), json_parse=False)


def test_a_secret_without_base64_padding_is_accepted() -> None:
    assert key(OLD.rstrip("=")) == key(OLD)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "hunter2", base64.b64encode(b"n" * 32).decode(), "whsec_!!!!", "whsec_é"]
    + ["whsec_" + base64.b64encode(b"x" * size).decode() for size in (23, 65)],
)
def test_an_invalid_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="base64 of 24 to 64 random bytes") as caught:
        key(secret)
    assert str(caught.value) == EXPECTED
