"""A simulated OpenAI, HTTP side: REST call control, the sideband WebSocket, and signed webhooks.

It behaves as documented and observed, faults included: the unmodified `openai` SDK works with it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType

import httpx2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from proxy.lab.openai_call import Call, SipSide, new_call_id
from proxy.lab.openai_conversation import Conversation
from proxy.lab.openai_errors import ApiError, call_not_found
from proxy.lab.openai_events import Json, as_object
from proxy.lab.openai_faults import Faults
from proxy.lab.openai_live_session import LiveSession
from proxy.lab.openai_server import loopback_server
from proxy.lab.openai_speech import speech
from proxy.lab.openai_tasks import Tasks
from proxy.lab.openai_transcription import transcription
from proxy.lab.openai_webhook import Api, Delivery, Incoming, WebhookSender

WEBHOOK_PATIENCE_S = 5.0
"""How long the edge may take to answer a webhook."""


NO_FAULTS = Faults()
AN_ALLOWED_CALL = Conversation()


def _unheard(on: bool) -> None:
    """The default for ``on_speech``: ignore it."""


class OpenAiLab:
    """The simulated OpenAI on 127.0.0.1, for the duration of an ``async with``."""

    def __init__(
        self,
        api_key: str,
        webhook_secret: str,
        webhook_url: str,
        faults: Faults = NO_FAULTS,
        *,
        api: Api = "realtime",
        conversation: Conversation = AN_ALLOWED_CALL,
        accept_patience_s: float = 10.0,
        webhook_backoff_s: float = 1.0,
        webhook_tls: ssl.SSLContext | bool = True,
        port: int = 0,
    ) -> None:
        self.faults = faults
        """Applies to calls from now on."""
        self.conversation = conversation
        """The script of calls from now on."""
        self.api: Api = api
        """The API that announces calls from now on; with `Faults.live_twin` the other one does, too."""
        self.calls: dict[str, Call] = {}
        """Every call so far, by id."""
        self.spoken: list[str] = []
        """Texts synthesized by ``/audio/speech``."""
        self.transcribed = 0
        """Number of files transcribed by ``/audio/transcriptions``."""
        self.accept_patience_s = accept_patience_s
        """How long an INVITE waits for ``/accept`` before it is answered 400."""
        self._by_session: dict[str, Call] = {}
        self._api_key = api_key
        self._tasks = Tasks()
        self._http = httpx2.AsyncClient(timeout=WEBHOOK_PATIENCE_S, trust_env=False, verify=webhook_tls)
        self._webhooks = WebhookSender(self._http, webhook_url, webhook_secret, backoff_s=webhook_backoff_s)
        self._server = loopback_server(self._app(), port)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> OpenAiLab:
        self._stack.push_async_callback(self._http.aclose)
        await self._stack.enter_async_context(self._server)
        self._stack.push_async_callback(self._tasks.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in self.calls.values():
            call.ended()
        await self._stack.aclose()

    @property
    def base_url(self) -> str:
        """The value for `api_base` and the SDK's ``base_url``; ends in ``/v1``."""
        return f"http://127.0.0.1:{self._server.port}/v1"

    @property
    def azure_url(self) -> str:
        """The same API as Azure serves it: under another path, with the key in another header."""
        return f"http://127.0.0.1:{self._server.port}/openai/v1"

    @property
    def websocket_base_url(self) -> str:
        """The value for the SDK's ``websocket_base_url``."""
        return f"ws://127.0.0.1:{self._server.port}/v1"

    @property
    def webhook_url(self) -> str:
        """Where webhooks are sent; may be set once the edge's port is known."""
        return self._webhooks.url

    @webhook_url.setter
    def webhook_url(self, url: str) -> None:
        self._webhooks.url = url

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """Every attempt to deliver a webhook so far."""
        return self._webhooks.deliveries

    @property
    def live_calls(self) -> list[Call]:
        """Calls that are not over, whose sessions are still billed."""
        return [call for call in self.calls.values() if not call.over]

    def incoming(
        self,
        sip_headers: Sequence[tuple[str, str]],
        sip: SipSide,
        security: str = "rtp",
        *,
        on_speech: Callable[[bool], None] = _unheard,
    ) -> Call:
        """Register the call of a new INVITE, and send the webhook; returns at once.

        ``on_speech`` is called when the agent's voice starts (True) and stops (False).
        """
        incoming = Incoming(new_call_id(), tuple(sip_headers), security)
        call = Call(
            incoming,
            sip,
            conversation=self.conversation,
            faults=self.faults,
            tasks=self._tasks,
            patience_s=self.accept_patience_s,
            on_speech=on_speech,
        )
        self.calls[call.id] = self._by_session[call.live_id] = call
        self._tasks.start(self._webhooks.announce(incoming, self.faults, self.api), "openai webhook")
        return call

    def _app(self) -> Starlette:
        verbs = {"accept": self._accept, "reject": self._reject, "refer": self._refer, "hangup": self._hangup}
        live = {**verbs, "accept": self._accept_live, "reject": self._reject_live}
        control = [
            Route(f"{base}/realtime/calls/{{call_id}}/{name}", self._guarded(verb), methods=["POST"])
            for base in ("/v1", "/openai/v1")
            for name, verb in verbs.items()
        ]
        control += [
            Route(f"/v1/live/sessions/{{session_id}}/{name}", self._guarded(verb), methods=["POST"])
            for name, verb in live.items()
        ]
        return Starlette(
            routes=[
                *control,
                Route("/v1/audio/speech", self._speech, methods=["POST"]),
                Route("/v1/audio/transcriptions", self._transcription, methods=["POST"]),
                Route("/v1/responses", self._responses, methods=["POST"]),
                WebSocketRoute("/v1/realtime", self._sideband),
                WebSocketRoute("/openai/v1/realtime", self._sideband),
                WebSocketRoute("/v1/live/sessions/{session_id}/attach", self._sideband),
            ],
            exception_handlers={HTTPException: _no_such_url},
        )

    async def _speech(self, request: Request) -> Response:
        try:
            self._authorize(request)
            fields = _fields(await request.body())
            answer = speech(fields)
        except ApiError as refusal:
            return _refused(refusal)
        self.spoken.append(str(fields["input"]))
        return answer

    async def _transcription(self, request: Request) -> Response:
        try:
            self._authorize(request)
            answer = transcription(request.headers.get("content-type", ""), await request.body())
        except ApiError as refusal:
            return _refused(refusal)
        except ClientDisconnect:  # the edge is stopping
            return Response(status_code=499)
        self.transcribed += 1
        return answer

    def _guarded(
        self, verb: Callable[[Call, Mapping[str, object]], Awaitable[None]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                self._authorize(request)
                await verb(self._named(request), _fields(await request.body()))
            except ApiError as refusal:
                return _refused(refusal)
            return Response()

        return endpoint

    async def _accept(self, call: Call, fields: Mapping[str, object]) -> None:
        await call.accept(fields)

    async def _responses(self, request: Request) -> Response:
        """``POST /responses`` from a client that runs its own delegate for a Live session."""
        try:
            self._authorize(request)
            fields = _fields(await request.body())
            if not isinstance(fields.get("model"), str) or "input" not in fields:
                raise ApiError(400, "missing_required_parameter", "Missing required parameter.", "input")
            call = self._by_session.get(str(as_object(fields.get("metadata")).get("session_id")))
            if call is None or not isinstance(call.talk, LiveSession):
                raise call_not_found()
            return JSONResponse(call.talk.think())
        except ApiError as refusal:
            return _refused(refusal)

    async def _accept_live(self, call: Call, fields: Mapping[str, object]) -> None:
        await call.accept_live(fields)

    async def _reject_live(self, call: Call, fields: Mapping[str, object]) -> None:
        if "status_code" not in fields:
            text = "Missing required parameter: 'status_code'."
            raise ApiError(400, "missing_required_parameter", text, "status_code")
        await self._reject(call, fields)

    async def _reject(self, call: Call, fields: Mapping[str, object]) -> None:
        status = fields.get("status_code", 603)
        if not isinstance(status, int) or not 300 <= status <= 699:
            raise ApiError(400, "invalid_value", f"Invalid value: '{status}'.", "status_code")
        await call.reject(status)

    async def _refer(self, call: Call, fields: Mapping[str, object]) -> None:
        target = fields.get("target_uri")
        if not isinstance(target, str):
            raise ApiError(
                400, "missing_required_parameter", "Missing required parameter: 'target_uri'.", "target_uri"
            )
        if unknown := sorted(fields.keys() - {"target_uri"}):
            raise ApiError(400, "unknown_parameter", f"Unknown parameter: '{unknown[0]}'.", unknown[0])
        await call.refer(target)

    async def _hangup(self, call: Call, fields: Mapping[str, object]) -> None:
        await call.hangup()

    def _authorize(self, connection: HTTPConnection) -> None:
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        if connection.url.path.startswith("/openai/") and "api-key" in connection.headers:
            scheme, key = "bearer", connection.headers["api-key"]
        if scheme.lower() != "bearer" or not key:
            raise ApiError(401, None, "Missing bearer or basic authentication in header")
        if not hmac.compare_digest(key.encode(), self._api_key.encode()):
            raise ApiError(401, "invalid_api_key", "Incorrect API key provided.")

    def _named(self, connection: HTTPConnection) -> Call:
        """Find the call of a request; once accepted, it is known only to the API that accepted it."""
        if "session_id" in connection.path_params:
            call, live = self._by_session.get(connection.path_params["session_id"]), True
        else:
            name = connection.path_params.get("call_id") or connection.query_params.get("call_id", "")
            call, live = self.calls.get(name), False
        if call is None or (call.talk is not None and call.live is not live and not _decides(connection)):
            raise call_not_found()
        return call

    async def _sideband(self, socket: WebSocket) -> None:
        """The sideband WebSocket; no upgrade unless the call is live, nor if the beta is asked for."""
        try:
            self._authorize(socket)
            if "openai-beta" in socket.headers:
                raise call_not_found()
            call = self._named(socket)
            queue = call.attach(socket.state.drop)
        except ApiError as refusal:
            await socket.send_denial_response(_refused(refusal))
            return
        try:
            await socket.accept()
            sending = asyncio.create_task(_send_events(socket, call, queue), name="openai socket")
            try:
                while True:
                    call.hear(await socket.receive_text())
            finally:
                sending.cancel()
                await asyncio.wait([sending])
        except WebSocketDisconnect:
            pass
        finally:
            call.detach(queue)


async def _send_events(socket: WebSocket, call: Call, queue: asyncio.Queue[Json]) -> None:
    try:
        while True:
            message = await queue.get()
            await socket.send_text(json.dumps(message))
            call.carried(message)
    except WebSocketDisconnect:
        pass


def _decides(connection: HTTPConnection) -> bool:
    return connection.url.path.endswith(("/accept", "/reject"))


def _fields(body: bytes) -> Mapping[str, object]:
    """Return the JSON object in a request body; an empty body counts as an empty object."""
    try:
        fields = json.loads(body or b"{}")
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise ApiError(400, "invalid_json", "We could not parse the JSON body of your request.")
    return fields


def _refused(refusal: ApiError) -> Response:
    if refusal.status >= 500:  # at OpenAI, a proxy in front of the API sends these, as plain text
        return PlainTextResponse(
            refusal.message, refusal.status, headers={"x-envoy-upstream-service-time": "370"}
        )
    error = {
        "message": refusal.message,
        "type": "invalid_request_error",
        "code": refusal.code,
        "param": refusal.param,
    }
    return JSONResponse({"error": error}, refusal.status)


async def _no_such_url(request: Request, error: Exception) -> Response:
    return _refused(ApiError(404, None, f"Invalid URL ({request.method} {request.url.path})"))
