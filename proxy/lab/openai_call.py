"""One call at the simulated OpenAI, from INVITE to end, and the effects of the REST verbs on it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from proxy.lab.openai_conversation import Conversation
from proxy.lab.openai_errors import ApiError, call_not_found
from proxy.lab.openai_events import Json, new_session
from proxy.lab.openai_faults import Faults
from proxy.lab.openai_live_events import live_session, resource
from proxy.lab.openai_live_session import LiveSession
from proxy.lab.openai_realtime_session import RealtimeSession
from proxy.lab.openai_tasks import Tasks
from proxy.lab.openai_voice import SessionContext
from proxy.lab.openai_webhook import Incoming

log = structlog.get_logger("screendoor")

SESSION_LIMIT_S = 3600
"""Maximum duration of a session."""
REPLAY_S = 3.0
"""Events of this long are replayed to a socket that attaches to a Live session."""
CLOSE_DELAY_S = 0.1
"""How long a Live session's socket stays open for ``session.closed`` to be read."""
LIVE_EVENTS = {"output_audio_buffer.started": "session.output_transcript.delta"}
"""Maps a Realtime event to its counterpart in the Live API."""


class SipSide(Protocol):
    """The SIP side of the simulated OpenAI for one call; verbs may be called after the call is over."""

    async def answer(self) -> None:
        """Answer the INVITE with 200."""

    async def reject(self, status: int) -> None:
        """Answer the INVITE with a failure response."""

    async def refer(self, target_uri: str) -> None:
        """Send a REFER; returns when it is answered, raises if it cannot be delivered."""

    async def hangup(self) -> None:
        """Send BYE."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The call was accepted."""

    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The call was refused with this status, by ``/reject`` or for an unusable accept body."""

    status: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Nobody accepted in time, or before the call ended; OpenAI then answers the INVITE 400."""


Decided = Accepted | Rejected | TimedOut


class Call:
    """A call at the simulated OpenAI; made by `OpenAiLab.incoming`."""

    def __init__(
        self,
        incoming: Incoming,
        sip: SipSide,
        *,
        conversation: Conversation,
        faults: Faults,
        tasks: Tasks,
        patience_s: float,
        on_speech: Callable[[bool], None],
    ) -> None:
        self.id = incoming.call_id
        self.live_id = incoming.session_id
        """Its id in the Live API."""
        self.incoming = incoming
        self.accept_body: Mapping[str, object] | None = None
        """The body of ``/accept``, unmodified."""
        self.refer_targets: list[str] = []
        """The ``target_uri`` of every ``/refer``, in order."""
        self.hung_up = False
        """The client ended the call by ``/hangup``."""
        self.heard: list[str] = []
        """Every frame that the client sent over a WebSocket."""
        self.sent: list[Json] = []
        """Every server event, whether or not a socket was attached."""
        self.talk: RealtimeSession | LiveSession | None = None
        self.over = False
        self._gone = asyncio.Event()
        self._sip = sip
        self._conversation, self._faults = conversation, faults
        self._tasks, self._on_speech = tasks, on_speech
        self._cancelled = False
        self._usable = False
        self._accepts_refused = 0
        self._attaches_refused = 0
        self._dropped = False
        self._recent: deque[tuple[float, Json]] = deque(maxlen=1000)
        self._sockets: dict[asyncio.Queue[Json], Callable[[], None]] = {}
        self._decided: asyncio.Future[Decided] = asyncio.get_running_loop().create_future()
        self._waiting = asyncio.get_running_loop().call_later(patience_s, self._lose_patience)

    async def decided(self) -> Decided:
        """Return the client's decision about the call, or `TimedOut`."""
        return await asyncio.shield(self._decided)

    def cancelled(self) -> None:
        """The INVITE was cancelled: as at OpenAI the session stays, can be accepted, and must be hung up."""
        self._cancelled = True

    def ended(self) -> None:
        """The call is over (BYE either way): sockets drop without a close frame.

        Calling it again does nothing.
        """
        self.over = True
        self._gone.set()
        self._waiting.cancel()
        if not self._decided.done():
            self._decided.set_result(TimedOut())
        if isinstance(self.talk, LiveSession) and self._sockets:
            self.emit(self.talk.closed("close_requested" if self.hung_up else "remote_hangup"))
            asyncio.get_running_loop().call_later(CLOSE_DELAY_S, self.drop_sockets)
        else:
            self.drop_sockets()
        if self.talk is not None:
            self.talk.close()

    @property
    def live(self) -> bool:
        """Whether the Live API accepted the call."""
        return isinstance(self.talk, LiveSession)

    async def accept_live(self, fields: Mapping[str, object]) -> None:
        """``/accept`` of the Live API: unknown fields are refused."""
        self._acceptable()
        session = live_session(fields, self.incoming.security)
        self._decide(Accepted(session))
        self.accept_body = fields
        self.talk = LiveSession(resource(session, self.live_id, SESSION_LIMIT_S), self._session_context)
        if not self._cancelled:
            self._tasks.start(self._sip.answer(), "openai answer")

    @property
    def _session_context(self) -> SessionContext:
        return SessionContext(
            self._conversation, self._tasks, self.emit, self._on_speech, self._faults.no_decision
        )

    def _acceptable(self) -> None:
        if self.over:
            raise call_not_found()
        if self._accepts_refused < self._faults.accept_404_times:
            self._accepts_refused += 1
            raise call_not_found()

    async def accept(self, body: Mapping[str, object]) -> None:
        """``/accept``: the body is not validated at once; an unusable one kills the call afterwards."""
        self._acceptable()
        self._decide(Accepted(body) if usable(body) else Rejected(400))
        self.accept_body = body
        if not usable(body):
            self._tasks.start(self._sip.reject(400), "openai reject")
            self.ended()
            return
        self.talk = RealtimeSession(
            new_session(body, int(time.time()) + SESSION_LIMIT_S), self._session_context
        )
        if not self._cancelled:
            self._tasks.start(self._sip.answer(), "openai answer")

    async def reject(self, status: int) -> None:
        """``/reject``: the INVITE is answered with ``status``."""
        if self.over:
            raise call_not_found()
        self._decide(Rejected(status))
        if not self._cancelled:
            await self._sip.reject(status)
        self.ended()

    async def refer(self, target_uri: str) -> None:
        """``/refer``: returns when the REFER has been answered."""
        self._live()
        self.refer_targets.append(target_uri)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), self._faults.refer_delay_s)
        self._live()
        match self._faults.refer_status:
            case 500:
                raise ApiError(500, None, "Internal Server Error")
            case 504:
                raise ApiError(504, None, "upstream request timeout")
        if self._faults.refer_silent:
            return
        try:
            await self._sip.refer(target_uri)
        except Exception as failure:  # whatever prevents delivery of the REFER, the API says 500
            log.info("refer undelivered", why=repr(failure))
            raise ApiError(500, None, "Internal Server Error") from failure
        if self._faults.refer_twice:
            self._tasks.start(self._refer_again(target_uri), "openai refer again")

    async def hangup(self) -> None:
        """``/hangup``: BYE, or a failure response if the INVITE is still unanswered."""
        if self.over:
            raise call_not_found()
        self.hung_up = True
        waiting = not self._decided.done()
        if waiting:
            self._decide(Rejected(603))
        self.ended()
        if not self._cancelled:
            await (self._sip.reject(603) if waiting else self._sip.hangup())

    def attach(self, drop: Callable[[], None]) -> asyncio.Queue[Json]:
        """Attach a WebSocket; returns the queue of events to send on it, ``session.created`` first.

        ``drop`` aborts its connection. Raises `ApiError` if the call is not live.
        """
        talk = self._live()
        if self._attaches_refused < self._faults.attach_404_times:
            self._attaches_refused += 1
            raise call_not_found()
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._sockets[queue] = drop
        created = talk.opened()
        self.sent.append(created)
        queue.put_nowait(created)
        if self.live:
            for at, again in self._recent:
                if at > asyncio.get_running_loop().time() - REPLAY_S:
                    queue.put_nowait(again)
        return queue

    def detach(self, queue: asyncio.Queue[Json]) -> None:
        """Detach that WebSocket; the session goes on."""
        self._sockets.pop(queue, None)

    def hear(self, frame: str) -> None:
        """Handle a frame received over a WebSocket."""
        self.heard.append(frame)
        if self.talk is not None and not self.over:
            self.talk.hear(frame)

    def emit(self, message: Json) -> None:
        """Send an event to every attached socket."""
        self.sent.append(message)
        self._recent.append((asyncio.get_running_loop().time(), message))
        for queue in self._sockets:
            queue.put_nowait(message)

    def carried(self, message: Json) -> None:
        """Called after an event was written to a socket: ``ws_drop_after`` takes effect here."""
        drops = self._faults.ws_drop_after
        if not self._dropped and drops is not None and message["type"] in (drops, LIVE_EVENTS.get(drops)):
            self._dropped = True
            self.drop_sockets()

    def drop_sockets(self) -> None:
        """Abort every WebSocket without a close frame (the client sees 1006)."""
        for queue, drop in list(self._sockets.items()):
            self.detach(queue)
            drop()

    async def _refer_again(self, target_uri: str) -> None:
        try:
            await self._sip.refer(target_uri)
        except Exception as failure:  # the peer may rightly refuse a second REFER
            log.info("second refer undelivered", why=repr(failure))

    def _live(self) -> RealtimeSession | LiveSession:
        if self.over or self.talk is None:
            raise call_not_found()
        return self.talk

    def _decide(self, decision: Decided) -> None:
        if self._decided.done():
            raise ApiError(400, "decision_already_made", "A decision has already been made for this call")
        self._waiting.cancel()
        self._decided.set_result(decision)

    def _lose_patience(self) -> None:
        self.ended()
        if not self._cancelled:
            self._tasks.start(self._sip.reject(400), "openai reject")


BETA = frozenset({"voice", "modalities", "input_audio_format", "output_audio_format", "turn_detection"})
"""Top-level fields of the beta API, which the GA API does not know."""


def usable(body: Mapping[str, object]) -> bool:
    """Return whether a session can be made from an accept body: one in the format of the beta API cannot."""
    return body.get("type") == "realtime" and isinstance(body.get("model"), str) and not body.keys() & BETA


def new_call_id() -> str:
    """Return a call id in the format seen in 2026."""
    return f"rtc_u1_{secrets.token_hex(16)}"
