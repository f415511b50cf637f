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


class Door:
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


def test_a_good_webhook_hands_the_call_on_with_its_headers_in_order_and_repeated() -> None:
    door = Door()
    assert door.receives(event()) == WebhookResponse(200, "incoming")
    (call,) = door.calls
    assert call.call_id == "rtc_1"
    assert call.values("Via") == ["one", "two"]
    assert call.values("x-screendoor-token") == ["abc.def"]
    assert call.values("To") == []


def test_header_names_are_met_in_any_case() -> None:
    body = json.dumps(event()).encode()
    headers = {name.title(): value for name, value in signed(body).items()}
    assert Door().receives(body, headers).status == 200


def live(kind: str = "live.transport.incoming", **data: object) -> dict[str, object]:
    return event(type=kind, data={"session_id": "live_1", "type": "sip", "sip_headers": HEADERS} | data)


@pytest.mark.parametrize("kind", ["live.transport.incoming", "live.call.incoming"])
def test_a_call_may_be_announced_by_the_live_api_under_its_new_name_or_its_old_one(kind: str) -> None:
    door = Door()
    body = live(kind)
    if kind == "live.call.incoming":
        del body["data"]["type"]  # type: ignore[attr-defined]
    assert door.receives(body) == WebhookResponse(200, "incoming")
    (call,) = door.calls
    assert (call.api, call.call_id) == (Api.LIVE, "live_1")
    assert call.values("x-screendoor-token") == ["abc.def"]


def test_both_names_of_one_live_call_are_one_call() -> None:
    door = Door()
    door.receives(live(), webhook_id="wh_1")
    assert door.receives(live("live.call.incoming"), webhook_id="wh_2") == WebhookResponse(200, "duplicate")


def test_a_live_session_that_is_no_telephone_call_is_no_call() -> None:
    assert Door().receives(live(type="webrtc")) == WebhookResponse(200, "no call")


@pytest.mark.parametrize(("offset", "status"), [(-301, 400), (-300, 200), (300, 200), (301, 400)])
def test_the_timestamp_may_be_five_minutes_off_either_way(offset: int, status: int) -> None:
    assert Door().receives(event(), at=NOW + offset).status == status


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_a_bad_request(name: str) -> None:
    body = json.dumps(event()).encode()
    headers = signed(body)
    del headers[name]
    assert Door().receives(body, headers) == WebhookResponse(400, f"no {name} header")


def test_a_timestamp_that_is_no_number_is_a_bad_request() -> None:
    body = json.dumps(event()).encode()
    assert Door().receives(body, signed(body) | {"webhook-timestamp": "soon"}).status == 400


def test_one_good_signature_of_several_is_enough() -> None:
    body = json.dumps(event()).encode()
    headers = signed(body)
    headers["webhook-signature"] = f"v1,AAAA v2,zzz {headers['webhook-signature']} v1a,xyz"
    assert Door().receives(body, headers).status == 200


@pytest.mark.parametrize("given", ["", "v1,", "v1,AAAA", "v2,{good}", "{good}", "v1,ü"])
def test_a_wrong_signature_is_unauthorized(given: str) -> None:
    door, body = Door(), json.dumps(event()).encode()
    headers = signed(body)
    good = headers["webhook-signature"].removeprefix("v1,")
    headers["webhook-signature"] = given.format(good=good)
    assert door.receives(body, headers) == WebhookResponse(401, "signature does not match")
    assert door.calls == []


def test_the_signature_is_over_the_raw_bytes() -> None:
    body = json.dumps(event()).encode()
    assert Door().receives(body.replace(b", ", b","), signed(body)).status == 401


def test_any_configured_secret_will_do() -> None:
    assert Door("plain secret", SECRET).receives(event()).status == 200
    assert Door("plain secret", SECRET).receives(event(), secret="plain secret").status == 200
    assert Door("plain secret").receives(event()).status == 401


def test_without_a_secret_nothing_is_let_in() -> None:
    nobody = WebhookReceiver([], lambda: datetime.fromtimestamp(NOW, UTC), lambda call: None)
    body = json.dumps(event()).encode()
    assert nobody.receive(signed(body), body).status == 401


@pytest.mark.parametrize("secret", ["", "whsec_not base64!"])
def test_a_bad_secret_is_found_at_start(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        Door(secret)


def test_the_same_webhook_id_is_acted_on_once() -> None:
    door = Door()
    assert door.receives(event()).reason == "incoming"
    assert door.receives(event(), at=NOW + 1) == WebhookResponse(200, "duplicate")
    assert len(door.calls) == 1


def test_the_same_call_in_two_webhooks_is_acted_on_once() -> None:
    door = Door()
    door.receives(event())
    assert door.receives(event(id="evt_2"), webhook_id="wh_2") == WebhookResponse(200, "duplicate")
    assert len(door.calls) == 1


@pytest.mark.parametrize(
    ("age_s", "reason"), [(59, "incoming"), (60, "incoming"), (61, "stale"), (-100, "incoming")]
)
def test_an_event_of_more_than_a_minute_ago_is_dropped(age_s: int, reason: str) -> None:
    assert Door().receives(event(created_at=NOW - age_s)) == WebhookResponse(200, reason)


@pytest.mark.parametrize("fast_s", [-299, -61, 61, 299])
def test_a_clock_of_ours_that_is_minutes_off_makes_no_call_stale(fast_s: int) -> None:
    door = Door()
    door.now += fast_s
    assert door.receives(event()) == WebhookResponse(200, "incoming")


@pytest.mark.parametrize("created_at", [None, "yesterday"])
def test_an_event_without_a_time_is_stale(created_at: object) -> None:
    assert Door().receives(event(created_at=created_at)).reason == "stale"


@pytest.mark.parametrize(
    "kind", ["live.transport.connected", "response.completed", None, 7, ["realtime.call.incoming"]]
)
def test_other_events_are_acknowledged_and_ignored(kind: object) -> None:
    door = Door()
    assert door.receives(event(type=kind)) == WebhookResponse(200, "ignored type")
    assert door.calls == []


@pytest.mark.parametrize(
    "data",
    [None, {}, {"call_id": ""}, {"call_id": "rtc_1"}, {"call_id": 7, "sip_headers": []}, {"sip_headers": []}],
)
def test_the_dashboards_test_event_is_acknowledged(data: object) -> None:
    assert Door().receives(event(data=data)) == WebhookResponse(200, "no call")


def test_malformed_header_pairs_are_passed_over() -> None:
    door = Door()
    pairs = [{"name": "A", "value": "1"}, {"name": "B"}, "C", {"name": 3, "value": "x"}, None]
    door.receives(event(data={"call_id": "rtc_1", "sip_headers": pairs}))
    assert door.calls[0].sip_headers == (("A", "1"),)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_signed_body_that_is_no_event_is_a_bad_request(body: bytes) -> None:
    assert Door().receives(body).status == 400


def test_a_clock_that_is_set_back_lets_no_memory_grow_and_no_duplicate_through() -> None:
    door = Door()
    door.receives(event())
    door.now -= 30.0
    assert door.receives(event()).reason == "duplicate"  # still within the tolerance
    door.now = float(NOW - 86400)
    for n in range(3):
        again = event(created_at=door.now, data={"call_id": f"rtc_{n + 2}", "sip_headers": HEADERS})
        assert door.receives(again, webhook_id=f"wh_{n + 2}", at=int(door.now)).reason == "incoming"
        door.now += 3600.0
    assert door._door._seen.keys() == {"webhook wh_4", "call rtc_4"}


def test_what_was_seen_is_forgotten_when_it_can_no_longer_be_good() -> None:
    door = Door()
    door.receives(event())
    door.now += 1000
    door.receives(event(created_at=door.now, data={"call_id": "rtc_2", "sip_headers": []}), at=int(door.now))
    assert door._door._seen.keys() == {"webhook wh_1", "call rtc_2"}


@pytest.mark.parametrize("change", ["none", "body", "signature", "secret"])
def test_the_vendors_sdk_agrees_with_us(change: str) -> None:
    body = json.dumps(event()).encode()
    headers = signed(body, secret=SECRET if change != "secret" else "another secret")
    if change == "body":
        body += b" "
    if change == "signature":
        headers["webhook-signature"] = "v1,AAAA"
    ours = Door().receives(body, headers).status == 200
    client = openai.OpenAI(api_key="sk-none", webhook_secret=SECRET)
    try:
        client.webhooks.verify_signature(body.decode(), headers, tolerance=10**9)
        theirs = True
    except openai.InvalidWebhookSignatureError:
        theirs = False
    assert ours is theirs is (change == "none")


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 200_000])
def test_a_signed_body_that_is_nested_too_deep_is_a_bad_request(body: bytes) -> None:
    assert Door().receives(body) == WebhookResponse(400, "body is not JSON")


@pytest.mark.parametrize("created_at", ["NaN", "-Infinity", "-1" + "0" * 400])
def test_a_time_that_is_no_time_is_stale(created_at: str) -> None:
    body = json.dumps(event(created_at=0)).replace('"created_at": 0', f'"created_at": {created_at}')
    assert Door().receives(body.encode()) == WebhookResponse(200, "stale")


def test_a_time_too_large_for_any_clock_breaks_nothing() -> None:
    assert Door().receives(event(created_at=10**400)).status == 200
    assert Door().receives(event(), at=10**400).status == 400


@pytest.mark.parametrize("call_id", ["", "\ud800", "rtc\n1", "x" * 257])
def test_a_call_id_that_can_stand_in_no_url_names_no_call(call_id: str) -> None:
    door = Door()
    assert door.receives(event(data={"call_id": call_id, "sip_headers": HEADERS})).reason == "no call"
    assert door.calls == []


def test_a_flood_of_bad_deliveries_is_a_few_lines_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    door = Door()
    for _ in range(1000):
        assert door.receives(b"junk", {}).status == 400
    out = capsys.readouterr().out
    assert out.count("webhook refused") == 30
    assert out.count("refused webhooks are not logged for a minute") == 1
