"""The composition root: the only file that knows every part. Run, drain, stop."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import secrets
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import structlog
from prometheus_client import CollectorRegistry

from proxy import log as logging
from proxy.call.admission import Admission
from proxy.call.call import Surroundings
from proxy.call.outcome import OnFailure
from proxy.call.record import CallRecord
from proxy.call.registry import Registry
from proxy.call.routing import Agent, Destination, Number, Routing, Trunk
from proxy.config import Problem, Settings
from proxy.config import model as told
from proxy.config.values import Destination as Place
from proxy.media.ports import PortPool
from proxy.media.session import RelaySession
from proxy.media.udp import SocketMedia
from proxy.metrics import Metrics
from proxy.sip.uri import Uri
from proxy.transport.flow import Flow, ListenOn
from proxy.transport.network import SocketNetwork
from proxy.transport.resolver import Resolver, SystemLookup
from proxy.transport.tls import ClientTls, ServerTls
from proxy.ua.core import Advertised, UserAgentCore
from proxy.ua.driver import Message
from proxy.ua.ids import RandomIds
from proxy.web import HttpServer, build_app
from screening import settings_check
from screening.screener import Screener
from screening.settings import SIP_AGENT, AgentSettings, NumberSettings, ScreeningSettings

log = structlog.get_logger("screendoor")

_CREDENTIALS = re.compile(r"(?:Proxy-)?Authorization:|X-Screendoor-Token:|a=crypto:", re.IGNORECASE).match


async def run(settings: Settings) -> int:
    """Take calls until SIGTERM or SIGINT, then drain; a second signal ends what is left at once."""
    logging.configure(settings.log.level, settings.log.format)
    _allow_sockets()
    asked_to_stop, in_a_hurry = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (in_a_hurry if asked_to_stop.is_set() else asked_to_stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with App(settings) as app:
        log.info("ready", listening=app.listening, numbers=len(settings.numbers))
        await asked_to_stop.wait()
        draining = asyncio.ensure_future(app.drain(settings.drain.limit_s))
        hurry = asyncio.ensure_future(in_a_hurry.wait())
        await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not draining.done():
            draining.cancel()
            await app.drain(0.0)
    log.info("stopped")
    return 0


class App:
    """The whole edge, for the time of an ``async with``; OSError or TransportFailed for a taken port."""

    def __init__(self, settings: Settings, *, finished: Callable[[CallRecord], None] | None = None) -> None:
        """`finished` hears of every call that is over, besides the record file and the metrics."""
        self._settings, self._heard = settings, finished
        self.ids = RandomIds()
        self.metrics = Metrics(CollectorRegistry())
        self.ports = PortPool(settings.media.ports.low, settings.media.ports.high)
        self._lookup = SystemLookup()
        self.network = SocketNetwork(Resolver(self._lookup), ClientTls(also=_authorities(settings)))
        self.admission = Admission(
            {trunk.name: _sources(trunk) for trunk in settings.trunks},
            self._lookup.addresses,
            turned_away=self.metrics.source_refused,
            unreadable=self.metrics.message_malformed,
        )
        self.screener = _screener(settings)
        self.metrics.follow_sessions(self.screener.counts)
        self.advertised = Advertised(settings.public.host)
        self.core = UserAgentCore(
            self.network,
            ids=self.ids,
            advertised=self.advertised,
            gate=self.admission,
            invited=lambda invite: self.registry.invited(invite),
        )
        if settings.log.level == "debug":
            self.core.traces.append(_log_wire)
        self.registry = Registry(
            Surroundings(
                self.core, self.screener, settings.public.host, settings.screening.voicemail_dir, _utc_now
            ),
            _routing(settings),
            self.ids,
            media=self._media,
            began=self.metrics.call_began,
            finished=self._finished,
            most=settings.limits.calls,
        )
        self.listening = ""
        """Where SIP is received, once entered."""
        self.http_port = 0
        self._records: TextIO | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:  # not `async with`: a task group in it would wrap the error in a group
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.registry.drain(0.0)
        await self._stack.aclose()

    async def drain(self, limit_s: float) -> None:
        """Take no more calls; let those going on finish within `limit_s`, then end them."""
        await self.registry.drain(limit_s)

    async def _start(self) -> None:
        enter = self._stack.enter_async_context
        if self._settings.records is not None:
            self._records = self._stack.enter_context(_appending(self._settings.records))
        await self._serve_http()
        await enter(self.screener)
        self._stack.push_async_callback(self.network.close)
        self._stack.push_async_callback(self.core.close)
        self.network.start(self.core)
        await self.admission.refresh()
        refreshing = asyncio.ensure_future(self.admission.keep_fresh())
        self._stack.push_async_callback(_cancelled, refreshing)
        places = [await self._listen(listen) for listen in self._settings.listeners]
        self.listening = " ".join(places)

    async def _listen(self, listen: told.Listen) -> str:
        tls = None
        if listen.certificate is not None and listen.key is not None:
            tls = ServerTls(listen.certificate, listen.key)
        host, port = await self.network.listen(ListenOn(listen.transport, listen.bind, tls))
        self.advertised.ports.setdefault(listen.transport, port)
        return f"{listen.transport}:{host}:{port}"

    async def _serve_http(self) -> None:
        http = self._settings.http
        wanted = any(agent.provider != SIP_AGENT for agent in self._settings.agents)
        web = build_app(
            self.screener.door if wanted else None,
            self._health,
            self.metrics.registry,
            counted=self.metrics.webhook_received,
        )
        server = HttpServer(web, *http.bind, certificate=http.certificate, key=http.key)
        self.http_port = (await self._stack.enter_async_context(server)).port

    def _health(self) -> Mapping[str, Any]:
        return {"status": "draining" if self.registry.draining else "ok", "calls": len(self.registry)}

    def _media(self) -> RelaySession:
        clock = asyncio.get_running_loop().time
        public = self._settings.public.address
        bind = self._settings.media.bind
        return RelaySession(SocketMedia(), self.ports, bind, public, self.ids.bits, clock)

    def _finished(self, record: CallRecord) -> None:
        assert record.outcome is not None
        self.metrics.call_ended(record.outcome.result.value)
        if self._records is not None:
            self._records.write(json.dumps(record.as_dict(), ensure_ascii=False) + "\n")
            self._records.flush()
        if self._heard is not None:
            self._heard(record)


def _allow_sockets() -> None:
    """As many as we are let: a call takes six for its media, and the usual 1024 are soon gone."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # where "unlimited" is more than the system has
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _log_wire(direction: str, flow: Flow, message: Message) -> None:
    """Every message, whole, at DEBUG: `<` received, `>` sent. Credentials are left out."""
    text = message.encode().decode("utf-8", "replace")
    lines = [line for line in text.split("\r\n") if not _CREDENTIALS(line)]
    log.debug(direction, peer=f"{flow.transport}:{flow.remote[0]}:{flow.remote[1]}", message="\n".join(lines))


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _appending(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    # What is no UTF-8 on the wire stands as "\udcff" in the record, which is good JSON.
    return path.open("a", encoding="utf-8", errors="backslashreplace")


async def _cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def check(settings: Settings, file: str) -> list[Problem]:
    """What only the screening can know to be wrong with the settings."""
    return [
        Problem(file, f"agent[{place}]", "an agent that can screen", sentence)
        for place, agent in enumerate(settings.agents)
        for sentence in settings_check.problems(_agent(agent))
    ]


# What the settings say, in the words of the part that needs it.


def _authorities(settings: Settings) -> list[Path]:
    return [agent.ca for agent in settings.agents if agent.ca is not None]


def _sources(trunk: told.Trunk) -> list[str]:
    """Where a trunk's requests come from; the place that we call out to answers from there, too."""
    out = [trunk.outbound.host] if trunk.outbound is not None else []
    return [*map(str, trunk.sources), *out]


def _routing(settings: Settings) -> Routing:
    trunks = {trunk.name: _trunk(trunk) for trunk in settings.trunks}
    return Routing([_number(settings, number, trunks) for number in settings.numbers])


def _trunk(trunk: told.Trunk) -> Trunk:
    password = trunk.password.get_secret_value() if trunk.password else None
    outbound = str(trunk.outbound) if trunk.outbound is not None else None
    return Trunk(trunk.name, outbound, trunk.username, password, trunk.caller_id)


def _number(settings: Settings, number: told.Number, trunks: Mapping[str, Trunk]) -> Number:
    agent, screening = settings.agent_of(number), settings.screening_of(number)
    return Number(
        number.dialed,
        tuple(_destination(settings, place, trunks) for place in number.destinations),
        Agent(agent.name, str(agent.sip)),
        number.ring_limit_s,
        OnFailure(screening.on_failure),
        screening.voicemail_limit_s,
    )


def _destination(settings: Settings, place: Place, trunks: Mapping[str, Trunk]) -> Destination:
    by = settings.trunk_of(place)
    if by is None:
        assert place.uri is not None
        return Destination(str(place.uri), place.number)
    trunk = trunks[by.name]
    assert trunk.outbound is not None
    assert place.number is not None
    base = Uri.parse(trunk.outbound)
    uri = Uri(base.scheme, place.number, None, base.host, base.port, base.params, "")
    return Destination(str(uri), place.number, trunk)


def _screener(settings: Settings) -> Screener:
    return Screener(
        [_agent(agent) for agent in settings.agents],
        [
            NumberSettings(
                number.dialed,
                settings.agent_of(number).name,
                number.target,
                settings.screening_of(number).talk_limit_s,
            )
            for number in settings.numbers
        ],
        wall_clock=_utc_now,
        token_bytes=secrets.token_bytes,
    )


def _agent(agent: told.Agent) -> AgentSettings:
    common = partial(AgentSettings, agent.name, agent.provider)
    limits = ScreeningSettings(silence_limit_s=agent.silence_limit_s, ready_limit_s=agent.ready_limit_s)
    if agent.api_key is None or agent.webhook_secret is None:
        return common(limits=limits)
    return common(
        limits=limits,
        api_key=agent.api_key.get_secret_value(),
        webhook_secret=agent.webhook_secret.get_secret_value(),
        model=agent.model,
        voice=agent.voice,
        instructions=agent.instructions or "",
        transfer=agent.transfer,
        refer_patience_s=agent.refer_patience_s,
        api_base=agent.api_base,
        project=agent.project,
    )
