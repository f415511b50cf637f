from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from screening.openai.rest import OpenAICalls, authorization, http_client
from screening.provider import ProviderError
from screening.settings import AgentSettings

AGENT = AgentSettings("a", api_key="sk-secret")
NOT_FOUND = httpx2.Response(404, json={"error": {"message": "No session found", "code": "call_id_not_found"}})


class Api:
    """The vendor's REST API: answers in turn, and records the requests and their times."""

    def __init__(self, *answers: httpx2.Response | Exception, takes_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.takes_s = takes_s
        self.requests: list[httpx2.Request] = []
        self.at: list[float] = []
        self._began = asyncio.get_running_loop().time()

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        self.at.append(asyncio.get_running_loop().time() - self._began)
        await asyncio.sleep(self.takes_s)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def calls(self, agent: AgentSettings = AGENT) -> OpenAICalls:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self))
        return OpenAICalls(agent, {"type": "realtime", "model": "m"}, http)


OK = httpx2.Response(200)


async def test_accept_posts_the_session() -> None:
    api = Api(OK)
    await api.calls().accept("rtc_1")
    (request,) = api.requests
    assert (request.method, str(request.url)) == (
        "POST",
        "https://api.openai.com/v1/realtime/calls/rtc_1/accept",
    )
    assert request.headers["authorization"] == "Bearer sk-secret"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == {"type": "realtime", "model": "m"}


async def test_call_ids_are_escaped() -> None:
    api = Api(OK)
    await api.calls().hang_up("rtc/../x?y#z")
    assert api.requests[0].url.raw_path == b"/v1/realtime/calls/rtc%2F..%2Fx%3Fy%23z/hangup"


async def test_the_project_header_is_sent_if_configured_and_no_beta_header() -> None:
    assert authorization(AGENT) == {"Authorization": "Bearer sk-secret"}
    api = Api(OK)
    await api.calls(AgentSettings("a", api_key="k", project="proj_1")).hang_up("rtc_1")
    assert api.requests[0].headers["openai-project"] == "proj_1"
    assert "openai-beta" not in api.requests[0].headers


async def test_accept_is_repeated_on_404_after_a_second() -> None:
    api = Api(NOT_FOUND, NOT_FOUND, OK)
    await api.calls().accept("rtc_1")
    assert api.at == [0.0, 1.0, 2.0]


async def test_accept_is_repeated_three_times_and_no_more() -> None:
    api = Api(NOT_FOUND)
    with pytest.raises(
        ProviderError, match="accept: OpenAI answered 404 call_id_not_found: the caller is gone"
    ) as e:
        await api.calls().accept("rtc_1")
    assert api.at == [0.0, 1.0, 2.0, 3.0]
    assert (e.value.status, e.value.code) == (404, "call_id_not_found")


@pytest.mark.parametrize(
    "failure",
    [
        httpx2.Response(500),
        httpx2.Response(503, headers={"Retry-After": "60"}),  # perhaps from a gateway; a caller is waiting
        httpx2.ConnectError("no route"),
    ],
    ids=repr,
)
async def test_accept_is_repeated_on_server_errors_and_connection_failures(
    failure: httpx2.Response | Exception,
) -> None:
    api = Api(failure, failure, OK)
    await api.calls().accept("rtc_1")
    assert api.at == [0.0, 0.5, 1.0]
    api = Api(failure)
    with pytest.raises(ProviderError):
        await api.calls().accept("rtc_1")
    assert api.at == [0.0, 0.5, 1.0, 1.5]


async def test_accept_is_not_repeated_after_its_time_limit() -> None:
    api = Api(httpx2.Response(503), takes_s=3.0)
    with pytest.raises(ProviderError):
        await api.calls().accept("rtc_1")
    assert api.at == [0.0, 3.5]
    api = Api(OK, takes_s=6.0)
    with pytest.raises(ProviderError, match="no answer"):
        await api.calls().accept("rtc_1")
    assert api.at == [0.0]


async def test_a_409_decision_already_made_after_a_failed_accept_is_success() -> None:
    taken = httpx2.Response(409, json={"error": {"code": "decision_already_made"}})
    api = Api(httpx2.Response(504), taken)
    await api.calls().accept("rtc_1")
    assert len(api.requests) == 2
    for before in (NOT_FOUND, taken):
        with pytest.raises(ProviderError, match="decision_already_made"):
            await Api(before, taken).calls().accept("rtc_1")


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [
        ({}, 0.5),
        ({"Retry-After": "2"}, 2.0),
        ({"Retry-After": "0.75"}, 0.75),
        ({"Retry-After-Ms": "250", "Retry-After": "1"}, 0.25),
        (
            {"Retry-After": "Mon, 23 Nov 2026 16:00:03 GMT", "Date": "Mon, 23 Nov 2026 16:00:00 GMT"},
            3.0,
        ),
        ({"Retry-After": "Mon, 23 Nov 2026 15:00:00 GMT", "Date": "Mon, 23 Nov 2026 16:00:00 GMT"}, 0.0),
        ({"Retry-After": "Mon, 23 Nov 2026 16:00:03 GMT"}, 0.5),
        ({"Retry-After": "Mon, 23 Nov 2026 16:00:03 -0000", "Date": "Mon, 23 Nov 2026 16:00:00 GMT"}, 0.5),
        ({"Retry-After": "soon"}, 0.5),
        ({"Retry-After": "-1"}, 0.5),
    ],
)
async def test_accept_is_repeated_on_429_after_retry_after(headers: dict[str, str], after_s: float) -> None:
    busy = httpx2.Response(429, headers=headers, json={"error": {"code": "rate_limit_exceeded"}})
    api = Api(busy, OK)
    await api.calls().accept("rtc_1")
    assert api.at == [0.0, after_s]


async def test_accept_is_not_repeated_if_retry_after_is_too_long() -> None:
    api = Api(httpx2.Response(429, headers={"Retry-After": "5"}), OK)
    with pytest.raises(ProviderError, match="429: the account's rate limit"):
        await api.calls().accept("rtc_1")
    assert api.at == [0.0]


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (429, "insufficient_quota", "credit is used up"),
        (404, "model_not_found", "model is not there for this project"),
        (404, "DeploymentNotFound", "model is not there for this project"),
        (400, "model_not_found", "model is not there for this project"),
    ],
)
async def test_accept_is_not_repeated_on_quota_or_missing_model(status: int, code: str, says: str) -> None:
    api = Api(httpx2.Response(status, json={"error": {"code": code}}))
    with pytest.raises(ProviderError, match=f"accept: OpenAI answered {status} {code}: .*{says}"):
        await api.calls().accept("rtc_1")
    assert api.at == [0.0]


@pytest.mark.parametrize("status", [400, 401, 403, 409])
async def test_accept_is_not_repeated_on_other_client_errors(status: int) -> None:
    api = Api(httpx2.Response(status))
    with pytest.raises(ProviderError):
        await api.calls().accept("rtc_1")
    assert len(api.requests) == 1


async def test_refer_posts_the_target() -> None:
    api = Api(OK)
    await api.calls().refer("rtc_1", "tel:+14155550123")
    assert str(api.requests[0].url).endswith("/rtc_1/refer")
    assert json.loads(api.requests[0].content) == {"target_uri": "tel:+14155550123"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            httpx2.Response(500, text="Internal Server Error"),
            "refer: OpenAI answered 500: the REFER could not be delivered",
        ),
        (httpx2.Response(504), "refer: OpenAI answered 504: no connection to our Contact"),
        (NOT_FOUND, "refer: OpenAI answered 404 call_id_not_found: the call is over"),
        (httpx2.Response(409), "refer: OpenAI answered 409: somebody else has decided"),
        (
            httpx2.Response(400, json={"error": {"code": "decision_already_made"}}),
            "refer: OpenAI answered 400 decision_already_made: somebody else has decided",
        ),
        (httpx2.Response(429), "refer: OpenAI answered 429: the account's rate limit"),
        (httpx2.Response(418, json=["odd"]), "refer: OpenAI answered 418$"),
        (httpx2.Response(400, json={"error": {"code": 7}}), "refer: OpenAI answered 400$"),
        (httpx2.ConnectError("no route"), "refer: OpenAI not reached: no route"),
        (httpx2.ReadError(""), "refer: OpenAI not reached: ReadError"),
    ],
)
async def test_refer_is_never_repeated(answer: httpx2.Response | Exception, says: str) -> None:
    api = Api(answer)
    with pytest.raises(ProviderError, match=says):
        await api.calls().refer("rtc_1", "tel:+1")
    await asyncio.sleep(60)
    assert len(api.requests) == 1


@pytest.mark.parametrize("verb", ["hang_up", "reject"])
async def test_hang_up_and_reject_take_404_as_success(verb: str) -> None:
    api = Api(NOT_FOUND)
    await getattr(api.calls(), verb)("rtc_1")
    assert len(api.requests) == 1
    assert api.requests[0].content == b""


@pytest.mark.parametrize(
    "failure", [httpx2.Response(503), httpx2.Response(429), httpx2.ConnectError("no route")], ids=repr
)
async def test_reject_is_repeated_on_temporary_failures(
    failure: httpx2.Response | Exception,
) -> None:
    api = Api(failure, failure, NOT_FOUND)
    await api.calls().reject("rtc_1")
    assert api.at == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("verb", ["hang_up", "reject"])
async def test_a_call_that_cannot_be_ended_is_an_error(verb: str) -> None:
    with pytest.raises(ProviderError, match="answered 500"):
        await getattr(Api(httpx2.Response(500)).calls(), verb)("rtc_1")


@pytest.mark.parametrize(
    ("act", "limit_s"),
    [
        (lambda calls: calls.accept("rtc_1"), 5.0),
        (lambda calls: calls.reject("rtc_1"), 5.0),
        (lambda calls: calls.refer("rtc_1", "tel:+1"), 15.0),
        (lambda calls: calls.hang_up("rtc_1"), 5.0),
    ],
)
async def test_every_request_has_its_time_limit(
    act: Callable[[OpenAICalls], asyncio.Future[None]], limit_s: float
) -> None:
    api, loop = Api(OK, takes_s=60), asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(ProviderError, match=f"no answer from OpenAI within {limit_s:g} s"):
        await act(api.calls())
    assert loop.time() - began == limit_s


async def test_errors_do_not_contain_the_api_key() -> None:
    with pytest.raises(ProviderError) as error:
        await Api(httpx2.Response(401)).calls().hang_up("rtc_1")
    assert "sk-secret" not in str(error.value)
    assert "not valid" in str(error.value)


async def test_an_error_nested_too_deep_is_an_error_without_a_code() -> None:
    api = Api(httpx2.Response(500, content=b"[" * 200_000))
    with pytest.raises(ProviderError, match="answered 500") as error:
        await api.calls().refer("rtc_1", "tel:+1")
    assert error.value.code is None


async def test_an_endless_error_body_is_read_only_up_to_a_limit() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 1024

    api = Api(httpx2.Response(500, content=endless()))
    with pytest.raises(ProviderError, match="answered 500"):
        await api.calls().refer("rtc_1", "tel:+1")
    assert read <= 65


@pytest.mark.network
async def test_hanging_refer_requests_do_not_block_an_accept() -> None:
    hanging, gone = asyncio.Semaphore(0), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/refer " in head:
            hanging.release()
            await gone.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with http_client() as http:
        calls = OpenAICalls(AgentSettings("a", api_key="k", api_base=base), {}, http)
        async with asyncio.TaskGroup() as tasks:
            for n in range(120):
                tasks.create_task(calls.refer(f"rtc_{n}", "tel:+1"))
            async with asyncio.timeout(10):
                for _ in range(120):
                    await hanging.acquire()
            await calls.accept("rtc_new")
            gone.set()
    server.close()
