"""Calls in progress: what the API shows of them, and what the user can ask of them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from proxy.call.outcome import Result
from proxy.observe.capture import Capture
from screening.contract import AgentCost, Tokens, Verification
from tests.web.api.served import READS, a_client, serving

pytestmark = pytest.mark.network


async def test_calls_in_progress_are_listed_with_state_transcript_and_legs(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        assert (await served.get("/calls/live")).json() == {"items": []}
        await served.edge.connects()
        [item] = (await served.get("/calls/live")).json()["items"]
        assert (item["state"], item["dialed"], item["result"]) == ("screened", "+14155551234", None)
        served.edge.screening.says("caller", "It is \udcffAnna.")
        one = (await served.get(f"/calls/{item['id']}")).json()
        assert one["transcript"] == [{"speaker": "caller", "text": "It is \udcffAnna.", "at_s": 1.0}]
        assert "agent answered" in one["story"]
        assert [(leg["name"], leg["ended"]) for leg in one["legs"]] == [("caller", None), ("agent", None)]
        await served.edge.carrier.hangs_up()
        await served.edge.over()
        assert (await served.get("/calls/live")).json() == {"items": []}


async def test_the_sip_so_far_of_a_call_in_progress_is_served_and_the_rest_once_it_is_over(
    tmp_path: Path,
) -> None:
    capture = Capture(lambda call, messages: None)
    async with serving(tmp_path, capture=capture) as served:
        await served.edge.bridges()
        [item] = (await served.get("/calls/live")).json()["items"]
        path = f"/calls/{item['id']}/trace"
        so_far = (await served.get(path)).json()["items"]
        assert so_far[0]["message"].startswith("INVITE")
        assert [each["at"] for each in so_far] == sorted(each["at"] for each in so_far)
        assert {each["leg"] for each in so_far} == {"caller", "agent", "phone"}, "one of them is over"
        file = await served.get(f"{path}.pcapng")
        assert file.content.count(b"INVITE sip:") == sum(
            each["message"].count("INVITE sip:") for each in so_far
        )
        await served.edge.carrier.hangs_up()
        record = await served.edge.over()
        capture.over(record.call, ((leg.name, leg.call_ids) for leg in record.legs))
        whole = (await served.get(path)).json()["items"]
        assert whole[: len(so_far)] == so_far
        assert "BYE" in "".join(each["message"][:4] for each in whole[len(so_far) :])
        assert (await served.get("/calls/another/trace")).status_code == 503, "nothing is stored here"


async def test_a_call_in_progress_shows_its_cost_so_far_and_its_verification(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.edge.connects()
        [call] = served.edge.registry.going_on()
        call.record.verification = Verification("passed", "A", source="header")
        [item] = (await served.get("/calls/live")).json()["items"]
        one = (await served.get(f"/calls/{item['id']}")).json()
        assert (one["cost"], one["message"], one["voicemail_transcript"]) == (None, None, None)
        assert (one["verification"]["result"], one["verification"]["attest"]) == ("passed", "A")
        spent = AgentCost("openai", "gpt-live-1", 0.5, Tokens(text_in=9), Decimal("0.025"))
        served.edge.screening.spent = spent
        cost = (await served.get(f"/calls/{item['id']}")).json()["cost"]
        told = {key: value for key, value in spent.as_dict().items() if key != "of_kind"}
        assert cost == told


async def test_connect_bridges_the_caller_to_the_phone(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.edge.connects()
        [item] = (await served.get("/calls/live")).json()["items"]
        answer = await served.post(f"/calls/{item['id']}/connect")
        assert (answer.status_code, answer.json()) == (202, {"call": item["id"], "wish": "connect"})
        await served.edge.phone.answers()
        await served.edge.agent.receives("BYE")
        [item] = (await served.get("/calls/live")).json()["items"]
        assert (item["state"], item["why"]) == ("bridged", "decided by the user (token-1)")
        for wish in ("connect", "reject", "voicemail"):
            late = await served.post(f"/calls/{item['id']}/{wish}")
            assert (late.status_code, late.json()["detail"]) == (409, "the caller talks to the phone already")
        assert (await served.post(f"/calls/{item['id']}/hangup")).status_code == 202
        record = await served.edge.over()
        assert record.outcome is not None
        assert record.outcome.result is Result.BRIDGED


async def test_ask_passes_a_question_to_the_agent_and_reject_ends_the_call(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.edge.connects()
        [item] = (await served.get("/calls/live")).json()["items"]
        answer = await served.post(f"/calls/{item['id']}/ask", json={"text": " Which company? "})
        assert answer.status_code == 202
        assert served.edge.screening.asked == ["Which company?"]
        assert (await served.post(f"/calls/{item['id']}/reject")).status_code == 202
        assert (await served.edge.over()).decision == "REJECT"


async def test_voicemail_ends_the_screening_with_a_message(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.edge.connects()
        [item] = (await served.get("/calls/live")).json()["items"]
        assert (await served.post(f"/calls/{item['id']}/voicemail")).status_code == 202
        await served.edge.carrier.hangs_up()
        assert (await served.edge.over()).decision == "VOICEMAIL"


@pytest.mark.parametrize("body", ["", "{", "[]", '{"text": ""}', '{"text": "a\\nb"}', '{"text": "\\ud800"}'])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_an_invalid_question_is_422_and_not_asked(tmp_path: Path, body: str, kind: str) -> None:
    async with serving(tmp_path) as served:
        await served.edge.connects()
        [item] = (await served.get("/calls/live")).json()["items"]
        answer = await served.post(f"/calls/{item['id']}/ask", content=body, headers={"Content-Type": kind})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        long = await served.post(f"/calls/{item['id']}/ask", json={"text": "x" * 301})
        assert long.json()["errors"][0]["at"] == "body.text"
        assert "xxx" not in long.text
        assert served.edge.screening.asked == []
        await served.edge.carrier.hangs_up()
        await served.edge.over()


async def test_actions_on_a_call_not_in_progress_are_404(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        for wish in ("connect", "reject", "voicemail", "hangup"):
            assert (await served.post(f"/calls/nobody/{wish}")).status_code == 404
        assert (await served.post("/calls/nobody/ask", json={"text": "Who?"})).status_code == 404


async def test_a_read_token_cannot_control_calls(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, a_client(served.port, READS) as reader:
        await served.edge.connects()
        [item] = (await reader.get("/api/v1/calls/live")).json()["items"]
        answer = await reader.post(f"/api/v1/calls/{item['id']}/hangup")
        assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")
        assert served.refused == {"read only": 1}
        await served.edge.carrier.hangs_up()
        assert (await served.edge.over()).ended_by == "caller"


async def test_without_a_database_stored_data_is_503(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        for path in ("/calls", "/calls/gone", "/lists/block", "/voicemails", "/callers/1/export"):
            answer = await served.get(path)
            assert (answer.status_code, "nothing is kept" in answer.json()["detail"]) == (503, True)


async def test_try_shows_the_rules_and_the_decision(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        answer = await served.post("/try", json={"number": "+14155550100"})
        assert answer.status_code == 200
        found = answer.json()
        assert (found["action"], found["caller"], found["dialed"]) == ("ask", "+14155550100", "+14155551234")
        assert [rule for rule in found["rules"] if rule["decides"]] == [found["rules"][-1]]
        for wrong in ({"number": "nobody"}, {"number": "1", "to": "+1999"}, {"number": "1", "at": "soon"}):
            assert (await served.post("/try", json=wrong)).status_code == 422
