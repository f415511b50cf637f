from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import openai
import pytest

from screening.webhook import Api, IncomingCall, WebhookReceiver, WebhookResponse, signing_key

NOW = 1_750_287_078
SECRET = "whsec_" + base64.b64encode(b"a very secret signing key").decode()
HEADERS = [
    {"name": "From", "value": "<sip:+14255550100@sip.example.com>;tag=1"},
    {"name": "X-Screendoor-Token", "value": "abc.def"},
    {"name": "Via", "value": "one"},
    {"name": "via", "value": "two"},
]


def event(**changes: object) -> dict[str, object]:
    data = {"call_id": "rtc_1", "sip_headers": HEADERS, "sip_media_security": "srtp"}
    whole = {
        "object": "event",
        "id": "evt_1",
        "type": "realtime.call.incoming",
        "created_at": NOW - 2,
        "data": data,
    }
    return whole | changes


def signature(body: bytes, webhook_id: str, timestamp: str, secret: str = SECRET) -> str:
    mac = hmac.digest(signing_key(secret), f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac).decode()


def signed(body: bytes, webhook_id: str = "wh_1", at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at),
        "webhook-signature": signature(body, webhook_id, str(at), secret),
    }


class ReceiverStage:
    """A receiver whose clock the test sets."""

    def __init__(self, *secrets: str) -> None:
        self.now = float(NOW)
        self.calls: list[IncomingCall] = []
        self._door = WebhookReceiver(
            secrets or [SECRET], lambda: datetime.fromtimestamp(self.now, UTC), self.calls.append
        )

    def receives(
        self, body: object, headers: Mapping[str, str] | None = None, **how: object
    ) -> WebhookResponse:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._door.receive(signed(raw, **how) if headers is None else headers, raw)  # type: ignore[arg-type]


def test_a_valid_webhook_passes_the_call_on_with_repeated_headers_in_order() -> None:
    receiver = ReceiverStage()
    assert receiver.receives(event()) == WebhookResponse(200, "incoming")
    (call,) = receiver.calls
    assert call.call_id == "rtc_1"
    assert call.values("Via") == ["one", "two"]
    assert call.values("x-screendoor-token") == ["abc.def"]
    assert call.values("To") == []


def test_http_header_names_are_case_insensitive() -> None:
    body = json.dumps(event()).encode()
    headers = {name.title(): value for name, value in signed(body).items()}
    assert ReceiverStage().receives(body, headers).status == 200


def live(kind: str = "live.transport.incoming", **data: object) -> dict[str, object]:
    return event(type=kind, data={"session_id": "live_1", "type": "sip", "sip_headers": HEADERS} | data)


@pytest.mark.parametrize("kind", ["live.transport.incoming", "live.call.incoming"])
def test_both_event_names_of_the_live_api_announce_a_call(kind: str) -> None:
    receiver = ReceiverStage()
    body = live(kind)
    if kind == "live.call.incoming":
        del body["data"]["type"]  # type: ignore[attr-defined]
    assert receiver.receives(body) == WebhookResponse(200, "incoming")
    (call,) = receiver.calls
    assert (call.api, call.call_id) == (Api.LIVE, "live_1")
    assert call.values("x-screendoor-token") == ["abc.def"]


def test_the_second_event_name_for_a_live_call_is_a_duplicate() -> None:
    receiver = ReceiverStage()
    receiver.receives(live(), webhook_id="wh_1")
    assert receiver.receives(live("live.call.incoming"), webhook_id="wh_2") == WebhookResponse(
        200, "duplicate"
    )


def test_a_live_session_that_is_not_sip_is_ignored() -> None:
    assert ReceiverStage().receives(live(type="webrtc")) == WebhookResponse(200, "no call")


@pytest.mark.parametrize(("offset", "status"), [(-301, 400), (-300, 200), (300, 200), (301, 400)])
def test_the_timestamp_may_be_five_minutes_off_either_way(offset: int, status: int) -> None:
    assert ReceiverStage().receives(event(), at=NOW + offset).status == status


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_a_bad_request(name: str) -> None:
    body = json.dumps(event()).encode()
    headers = signed(body)
    del headers[name]
    assert ReceiverStage().receives(body, headers) == WebhookResponse(400, f"no {name} header")


def test_a_timestamp_that_is_no_number_is_a_bad_request() -> None:
    body = json.dumps(event()).encode()
    assert ReceiverStage().receives(body, signed(body) | {"webhook-timestamp": "soon"}).status == 400


def test_one_valid_signature_of_several_is_enough() -> None:
    body = json.dumps(event()).encode()
    headers = signed(body)
    headers["webhook-signature"] = f"v1,AAAA v2,zzz {headers['webhook-signature']} v1a,xyz"
    assert ReceiverStage().receives(body, headers).status == 200


@pytest.mark.parametrize("given", ["", "v1,", "v1,AAAA", "v2,{good}", "{good}", "v1,ü"])
def test_a_wrong_signature_is_unauthorized(given: str) -> None:
    receiver, body = ReceiverStage(), json.dumps(event()).encode()
    headers = signed(body)
    good = headers["webhook-signature"].removeprefix("v1,")
    headers["webhook-signature"] = given.format(good=good)
    assert receiver.receives(body, headers) == WebhookResponse(401, "signature does not match")
    assert receiver.calls == []


def test_the_signature_is_over_the_raw_bytes() -> None:
    body = json.dumps(event()).encode()
    assert ReceiverStage().receives(body.replace(b", ", b","), signed(body)).status == 401


def test_a_signature_by_any_configured_secret_is_valid() -> None:
    assert ReceiverStage("plain secret", SECRET).receives(event()).status == 200
    assert ReceiverStage("plain secret", SECRET).receives(event(), secret="plain secret").status == 200
    assert ReceiverStage("plain secret").receives(event()).status == 401


def test_without_a_secret_every_webhook_is_401() -> None:
    nobody = WebhookReceiver([], lambda: datetime.fromtimestamp(NOW, UTC), lambda call: None)
    body = json.dumps(event()).encode()
    assert nobody.receive(signed(body), body).status == 401


@pytest.mark.parametrize("secret", ["", "whsec_not base64!"])
def test_a_malformed_secret_raises_at_construction(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        ReceiverStage(secret)


def test_a_repeated_webhook_id_is_a_duplicate() -> None:
    receiver = ReceiverStage()
    assert receiver.receives(event()).reason == "incoming"
    assert receiver.receives(event(), at=NOW + 1) == WebhookResponse(200, "duplicate")
    assert len(receiver.calls) == 1


def test_the_same_call_in_two_webhooks_is_a_duplicate() -> None:
    receiver = ReceiverStage()
    receiver.receives(event())
    assert receiver.receives(event(id="evt_2"), webhook_id="wh_2") == WebhookResponse(200, "duplicate")
    assert len(receiver.calls) == 1


@pytest.mark.parametrize(
    ("age_s", "reason"), [(59, "incoming"), (60, "incoming"), (61, "stale"), (-100, "incoming")]
)
def test_an_event_older_than_a_minute_is_stale(age_s: int, reason: str) -> None:
    assert ReceiverStage().receives(event(created_at=NOW - age_s)) == WebhookResponse(200, reason)


@pytest.mark.parametrize("fast_s", [-299, -61, 61, 299])
def test_a_local_clock_minutes_off_does_not_make_events_stale(fast_s: int) -> None:
    receiver = ReceiverStage()
    receiver.now += fast_s
    assert receiver.receives(event()) == WebhookResponse(200, "incoming")


@pytest.mark.parametrize("created_at", [None, "yesterday"])
def test_an_event_without_a_time_is_stale(created_at: object) -> None:
    assert ReceiverStage().receives(event(created_at=created_at)).reason == "stale"


@pytest.mark.parametrize(
    "kind", ["live.transport.connected", "response.completed", None, 7, ["realtime.call.incoming"]]
)
def test_other_events_are_acknowledged_and_ignored(kind: object) -> None:
    receiver = ReceiverStage()
    assert receiver.receives(event(type=kind)) == WebhookResponse(200, "ignored type")
    assert receiver.calls == []


@pytest.mark.parametrize(
    "data",
    [None, {}, {"call_id": ""}, {"call_id": "rtc_1"}, {"call_id": 7, "sip_headers": []}, {"sip_headers": []}],
)
def test_events_without_call_data_are_acknowledged(data: object) -> None:
    assert ReceiverStage().receives(event(data=data)) == WebhookResponse(200, "no call")


def test_malformed_header_pairs_are_skipped() -> None:
    receiver = ReceiverStage()
    pairs = [{"name": "A", "value": "1"}, {"name": "B"}, "C", {"name": 3, "value": "x"}, None]
    receiver.receives(event(data={"call_id": "rtc_1", "sip_headers": pairs}))
    assert receiver.calls[0].sip_headers == (("A", "1"),)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_signed_body_that_is_no_event_is_a_bad_request(body: bytes) -> None:
    assert ReceiverStage().receives(body).status == 400


def test_after_a_clock_set_back_duplicates_are_refused_and_seen_ids_bounded() -> None:
    receiver = ReceiverStage()
    receiver.receives(event())
    receiver.now -= 30.0
    assert receiver.receives(event()).reason == "duplicate"  # still within the tolerance
    receiver.now = float(NOW - 86400)
    for n in range(3):
        again = event(created_at=receiver.now, data={"call_id": f"rtc_{n + 2}", "sip_headers": HEADERS})
        assert receiver.receives(again, webhook_id=f"wh_{n + 2}", at=int(receiver.now)).reason == "incoming"
        receiver.now += 3600.0
    assert receiver._door._seen.keys() == {"webhook wh_4", "call rtc_4"}


def test_seen_webhooks_are_forgotten_after_their_lifetime() -> None:
    receiver = ReceiverStage()
    receiver.receives(event())
    receiver.now += 1000
    receiver.receives(
        event(created_at=receiver.now, data={"call_id": "rtc_2", "sip_headers": []}), at=int(receiver.now)
    )
    assert receiver._door._seen.keys() == {"webhook wh_1", "call rtc_2"}


@pytest.mark.parametrize("change", ["none", "body", "signature", "secret"])
def test_the_vendor_sdk_and_we_agree_on_signatures(change: str) -> None:
    body = json.dumps(event()).encode()
    headers = signed(body, secret=SECRET if change != "secret" else "another secret")
    if change == "body":
        body += b" "
    if change == "signature":
        headers["webhook-signature"] = "v1,AAAA"
    ours = ReceiverStage().receives(body, headers).status == 200
    client = openai.OpenAI(api_key="sk-none", webhook_secret=SECRET)
    try:
        client.webhooks.verify_signature(body.decode(), headers, tolerance=10**9)
        theirs = True
    except openai.InvalidWebhookSignatureError:
        theirs = False
    assert ours is theirs is (change == "none")


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 200_000])
def test_a_signed_body_nested_too_deep_is_a_bad_request(body: bytes) -> None:
    assert ReceiverStage().receives(body) == WebhookResponse(400, "body is not JSON")


@pytest.mark.parametrize("created_at", ["NaN", "-Infinity", "-1" + "0" * 400])
def test_an_event_with_a_non_finite_or_negative_time_is_stale(created_at: str) -> None:
    body = json.dumps(event(created_at=0)).replace('"created_at": 0', f'"created_at": {created_at}')
    assert ReceiverStage().receives(body.encode()) == WebhookResponse(200, "stale")


def test_a_huge_event_time_is_accepted_and_a_huge_timestamp_header_is_400() -> None:
    assert ReceiverStage().receives(event(created_at=10**400)).status == 200
    assert ReceiverStage().receives(event(), at=10**400).status == 400


@pytest.mark.parametrize("call_id", ["", "\ud800", "rtc\n1", "x" * 257])
def test_an_event_with_an_invalid_call_id_is_ignored(call_id: str) -> None:
    receiver = ReceiverStage()
    assert receiver.receives(event(data={"call_id": call_id, "sip_headers": HEADERS})).reason == "no call"
    assert receiver.calls == []


def test_a_flood_of_invalid_webhooks_gives_a_limited_number_of_log_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    receiver = ReceiverStage()
    for _ in range(1000):
        assert receiver.receives(b"junk", {}).status == 400
    out = capsys.readouterr().out
    assert out.count("webhook refused") == 30
    assert out.count("refused webhooks are not logged for a minute") == 1
