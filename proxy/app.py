"""The composition root: builds every part from the settings, then starts, drains and stops them.

No other module imports all of them.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import cached_property, partial
from types import TracebackType
from typing import Any, Self

import dns.entropy
import structlog
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from proxy import (
    assembly,
    certificate_expiry,
    folders,
    kernel_forwarding,
    media_address,
    network_setup,
)
from proxy.call.admission import Admission
from proxy.call.context import CallContext
from proxy.call.feed import Feed
from proxy.call.media_watch import MediaWatchSettings
from proxy.call.overload import OverloadMonitor
from proxy.call.probe import Probes
from proxy.call.record import CallRecord
from proxy.call.registry import Registry
from proxy.call.routing import Number
from proxy.config import Listen, Settings
from proxy.media.direct import DirectSession
from proxy.media.disk_writer import DiskThread
from proxy.media.engine import MediaEngine
from proxy.media.interface import MediaSession
from proxy.media.kernel.bpf import KernelRefused
from proxy.media.kernel.forwarder import Forwarder
from proxy.media.kernel.stream import KernelStream
from proxy.media.periodic_timer import PeriodicTimer
from proxy.media.ports import PortPool
from proxy.media.session import RelaySession
from proxy.media.stream import Stream
from proxy.media.udp import SocketMedia
from proxy.metrics import Metrics
from proxy.observe.wire_log import log_message
from proxy.services import model_watch
from proxy.services.services import Services
from proxy.transport.address_set import AddressSetLookup
from proxy.transport.flow import Flow, format_address
from proxy.transport.lookup import SystemLookup
from proxy.transport.persistent import PersistentConnection
from proxy.transport.resolver import Resolver
from proxy.ua.core import UserAgentCore
from proxy.ua.ids import RandomIds
from proxy.ua.shutdown import finish_signalling
from proxy.voices import Voices
from proxy.web import HttpServer, build_app
from screening.settings import SIP_AGENT

log = structlog.get_logger("screendoor")


class App:
    """The whole edge, running for the duration of an ``async with``.

    Entering it raises OSError or TransportFailed if a port is taken.
    """

    def __init__(self, settings: Settings, *, finished: Callable[[CallRecord], None] | None = None) -> None:
        """`finished` is called with the record of every call that ends, last of all."""
        self._settings, self._on_finished = settings, finished
        self.ids = RandomIds()
        self.metrics = Metrics(CollectorRegistry())
        self._media_timer = PeriodicTimer()
        self.ports = PortPool(settings.media.ports.low, settings.media.ports.high)
        self._sockets = SocketMedia(keep=min(self.ports.free, _sockets_allowed() // 8))
        self._forwarder: Forwarder | None = None
        self._lookup = SystemLookup()
        self.network = network_setup.network(settings, Resolver(self._lookup))
        self.admission = Admission(
            {trunk.name: assembly.sources(trunk) for trunk in settings.trunks},
            AddressSetLookup(self._lookup),
            assembly.ban_policy(settings),
            unreadable=self.metrics.message_malformed,
        )
        self._disk = DiskThread()
        self.voices = Voices(settings, self._disk, assembly.challenge_prompts(settings))
        self.services = Services(settings, self.ids, self.metrics, self._disk, _utc_now)
        self.metrics.follow_strangers(self.admission.counts, self.admission.banned)
        self.metrics.follow_connections(self.network.connections.refused)
        self.advertised = assembly.advertised(settings)
        self.overload = OverloadMonitor(settings.limits.lag_s, settings.limits.memory_mb * 1_000_000)
        self.capacity = assembly.capacity(settings, self._trunk_of, self.overload, self.ids)
        self.metrics.follow_capacity(self.capacity.counts, lambda: self.overload.lag_s)
        self.core = self._make_core()
        self.probes = Probes(self.core, assembly.probe_targets(settings), self.advertised.host)
        self.metrics.follow_targets(self.probes.targets)
        self.registrar = assembly.registrar(settings, self.core, self.admission)
        self.registrations = assembly.registrations(settings, self.core, self.metrics.trunk_registered, _now)
        self._registering: list[asyncio.Future[None]] = []
        self._drained = False
        self.registry = self._make_registry()
        home, *others = assembly.media_addresses(settings)
        self._media_addresses = home, others[0] if others else None
        self.listening = ""
        """The addresses on which SIP is received; empty until entered."""
        self.http_port = 0
        self._stack = AsyncExitStack()

    def _make_core(self) -> UserAgentCore:
        core = UserAgentCore(
            self.network,
            ids=self.ids,
            advertised=self.advertised,
            gate=self.admission,
            invited=lambda invite: self.registry.invited(invite),
            overload_wait_s=self.capacity.sheds,
        )
        if self._settings.log.level == "debug":
            core.traces.append(log_message)
        if self.services.capture is not None:
            core.traces.append(self.services.capture)
        return core

    def _make_registry(self) -> Registry:
        settings = self._settings
        self._feed = Feed(_utc_now) if settings.api.tokens else None
        return Registry(
            self._call_context(),
            assembly.routing(settings),
            self.ids,
            media=self._media,
            began=self.services.began,
            finished=self._finished,
            max_calls=settings.limits.calls,
            capacity=self.capacity,
        )

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
        if not self._drained:
            await self.drain(0.0)
        if self._feed is not None:
            self._feed.close()
        await self._stack.aclose()

    async def drain(self, limit_s: float) -> None:
        """Refuse new calls, give those in progress `limit_s` seconds to finish, then end them.

        Trunk registrations are removed only after the last BYE is answered: behind a NAT, a trunk reaches us
        only while we are registered and the NAT binding is kept open.
        """
        await self.registry.drain(limit_s)
        await finish_signalling(self.core)
        await self._unregister()
        self._drained = True

    async def _start(self) -> None:
        media_address.check(self._media_addresses[0][0])
        folders.check(self._settings)
        self._stack.push_async_callback(asyncio.to_thread, self._disk.close)
        await self.services.open(self._stack)
        if kernel_forwarding.wanted(self._settings):
            self._forward_in_kernel()
        await self._serve_http()
        self._stack.push_async_callback(self.voices.close)
        self._stack.callback(self._sockets.close)
        self._stack.push_async_callback(self.network.close)
        self._stack.push_async_callback(self.core.close)
        self.core.tls_profile_of = network_setup.profile_of_flow(self._settings, self._trunk_of)
        self._stack.callback(self.registrar.close)
        self.network.start(self.core)
        await self.admission.refresh()
        watching = (
            self.overload.watch(),
            certificate_expiry.watch(self._settings, _utc_now),
            model_watch.watch(self._settings, _utc_now, self.services.model_ends),
        )
        following = media_address.follow(self._settings, self._public_address_changed)
        for upkeep in (self.admission.keep_fresh(), *watching, following, self.voices.prepare()):
            self._stack.push_async_callback(_cancelled, asyncio.ensure_future(upkeep))
        places = [await self._listen(listen) for listen in self._settings.listeners]
        self.listening = " ".join(places)
        if self.probes.peers():
            self._stack.push_async_callback(_cancelled, asyncio.ensure_future(self.probes.run()))
        for uri, profile in network_setup.kept_connections(self._settings):
            standing = PersistentConnection(self.network, uri, profile, dns.entropy.between)
            self.core.also_needed.append(standing.needs)
            self._stack.push_async_callback(_cancelled, asyncio.ensure_future(standing.keep()))
        self._stack.push_async_callback(self._unregister)
        self._registering = [asyncio.ensure_future(each.run()) for each in self.registrations]

    def _forward_in_kernel(self) -> None:
        try:
            self._forwarder = forwarder = kernel_forwarding.forwarder(self._settings)
        except KernelRefused as refused:
            self._log_kernel_unused(str(refused))
            return
        self._stack.callback(forwarder.close)
        forwarder.watch()
        self.metrics.follow_kernel(lambda: forwarder.forwarding)
        if forwarder.obstacle is not None:
            self._log_kernel_unused(forwarder.obstacle)
            return
        log.info("forwarding audio in the kernel", interfaces=len(forwarder.interfaces))

    def _log_kernel_unused(self, why: str) -> None:
        if (wrong := kernel_forwarding.fallback_warning(self._settings, why)) is not None:
            log.warning(wrong)
        else:
            log.info("relaying audio here, not in the kernel", why=why, see="docs/media.md")

    async def _unregister(self) -> None:
        for task in self._registering:
            await _cancelled(task)
        await asyncio.gather(*(registration.close() for registration in self.registrations))

    async def _listen(self, listen: Listen) -> str:
        host, port = await self.network.listen(network_setup.listen_on(listen))
        ports = self.advertised.ports6 if ":" in host else self.advertised.ports
        ports.setdefault(listen.transport, port)
        return f"{listen.transport}:{format_address((host, port))}"

    async def _serve_http(self) -> None:
        http = self._settings.http
        self.metrics.follow_certificates(partial(certificate_expiry.expiry_times, self._settings))
        wanted = any(agent.provider != SIP_AGENT for agent in self._settings.agents)
        web = build_app(
            self.services.screener.webhooks if wanted else None,
            self._health,
            self.metrics.registry,
            counted=self.metrics.webhook_received,
            api=self._api(),
        )
        server = HttpServer(web, *http.bind, certificate=http.certificate, key=http.key)
        self.http_port = (await self._stack.enter_async_context(server)).port

    def _api(self) -> ASGIApp | None:
        """The management API as an ASGI application; None if it is not enabled."""
        if self._feed is None:
            return None
        from proxy.services import api_backend  # slow to import, and rarely enabled

        services = self.services
        api, refused = api_backend.api(
            self._settings, self.registry, self._feed, self.ids, services.memory, services.capture
        )
        self.metrics.follow_api(refused)
        return api

    def _call_context(self) -> CallContext:
        settings = self._settings
        return CallContext(
            self.core,
            self.services.screener,
            self.advertised.host,
            settings.screening.voicemail_dir,
            _utc_now,
            recording_dir=settings.screening.recording_dir,
            speech=self.voices,
            phones=self.registrar.reachable,
            new_contacts=self.registrar.new_contacts,
            down=self.probes.down,
            media_watch=MediaWatchSettings(
                settings.media.inactivity_s, settings.limits.call_limit_s, self._media_timer
            ),
            trust_of=assembly.trust_of(
                settings, self.admission, self.registrations, self.core.authenticated_peers.trunk
            ),
            srtp=assembly.srtp_policy_of(settings),
            credentials=assembly.credentials(settings),
            feed=self._feed,
        )

    def _health(self) -> Mapping[str, Any]:
        health: dict[str, Any] = {
            "status": "draining" if self.registry.draining else "ok",
            "calls": len(self.registry),
            "peers": self.probes.peers(),
            **self.admission.summary(),
        }
        if self.registrations:
            health["registrations"] = {
                each.account.trunk: "registered" if each.registered else each.why
                for each in self.registrations
            }
        if phones := self.registrar.contact_counts():
            health["phones"] = phones
        return health

    def _trunk_of(self, flow: Flow) -> str | None:
        """The flow's trunk, known by its address, its certificate or its digest credentials."""
        source = self.admission.source(flow)
        return source.trunk if source is not None else self.core.authenticated_peers.trunk(flow)

    def _media(self, number: Number) -> MediaSession:
        relay = RelaySession(self._relays)
        if self._settings.media.mode == "direct" and not number.record:
            return DirectSession(relay, self._media_addresses[0][1], self.ids.bits)
        return relay

    @cached_property
    def _relays(self) -> MediaEngine:
        """What the relay sessions of all calls share."""
        clock = asyncio.get_running_loop().time
        home, other = self._media_addresses
        told = (self._sockets, self.ports, *home, self.ids.bits, clock, other, self._media_timer)
        make = Stream if self._forwarder is None else partial(KernelStream, self._forwarder)
        return MediaEngine(*told, disk=self._disk, make_stream=make)

    def _public_address_changed(self, address: str) -> None:
        """Switch new calls to a public address that has changed; calls in progress keep the old one."""
        (local, _), other = self._media_addresses
        self._media_addresses = (local, address), other
        self._relays.addresses[6 if ":" in address else 4] = local, address

    def _finished(self, record: CallRecord) -> None:
        self.services.finished(record)
        if self._on_finished is not None:
            self._on_finished(record)


def _sockets_allowed() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


_utc_now: Callable[[], datetime] = partial(datetime.now, UTC)


def _now() -> float:
    """Seconds since 1970."""
    return _utc_now().timestamp()


async def _cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
