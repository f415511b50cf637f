"""How we listen and connect, as the settings say: to whom, on whose terms of TLS, within which limits."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

from proxy.config import Listen, Settings
from proxy.config import model as told
from proxy.config.server import Tls
from proxy.sip.uri import Uri
from proxy.transport.connections import ConnectionLimits
from proxy.transport.flow import Flow, ListenOn
from proxy.transport.keepalive import Upkeep
from proxy.transport.network import SocketNetwork
from proxy.transport.resolver import Resolver
from proxy.transport.stream import StreamLimits
from proxy.transport.tls import ClientRules, ClientTls, ServerTls, TlsProfiles
from proxy.transport.tls_policy import TlsTerms


def terms(settings: Settings) -> TlsProfiles:
    """On whose terms TLS is spoken where we connect; raises TransportFailed for files that cannot be used."""
    also = tuple(agent.ca for agent in settings.agents if agent.ca is not None)
    tables: list[told.Trunk | told.Agent] = [*settings.trunks, *settings.agents]
    return TlsProfiles(
        ClientTls(also=also),
        {profile_of(one): ClientTls(rules=_rules(one.tls, also)) for one in tables if one.tls is not None},
    )


def profile_of(one: told.Trunk | told.Agent) -> str:
    """The name of the terms of a trunk or an agent; empty where it has none of its own."""
    if one.tls is None:
        return ""
    return f"trunk {one.name}" if isinstance(one, told.Trunk) else f"agent {one.name}"


def profiles(settings: Settings) -> dict[str, str]:
    """The name of each trunk's terms of TLS, by the trunk's name."""
    return {trunk.name: profile_of(trunk) for trunk in settings.trunks}


def terms_of(settings: Settings, trunk_of: Callable[[Flow], str | None]) -> Callable[[Flow], str]:
    """Tells the name of the terms of the trunk at the other end of a connection."""
    named = profiles(settings)
    if not any(named.values()):  # as mostly: whose connection it is need not be known then
        return lambda flow: ""
    return lambda flow: named.get(trunk_of(flow) or "", "")


def network(settings: Settings, resolver: Resolver) -> SocketNetwork:
    """Everything below user agents; raises TransportFailed for files that cannot be used."""
    return SocketNetwork(
        resolver,
        limits=StreamLimits(handshake_s=settings.connections.handshake_s),
        profiles=terms(settings),
        strangers=strangers(settings, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        upkeep=Upkeep(settings.connections.keep_alive_s, settings.connections.idle_s),
    )


def listen_on(listen: Listen) -> ListenOn:
    """One place to listen on."""
    tls = None
    if listen.certificate is not None and listen.key is not None:
        tls = ServerTls(
            listen.certificate,
            listen.key,
            TlsTerms(listen.min_version, listen.max_version, listen.ciphers),
            listen.client_certificates,
            listen.client_ca,
        )
    return ListenOn(listen.transport, listen.bind, tls)


def strangers(settings: Settings, most: int) -> ConnectionLimits:
    """How many connections strangers may have: a quarter of the `most` that we can have, or fewer.

    `most` is a limit of the system; one below zero is none.
    """
    limits = settings.connections
    return ConnectionLimits(
        min(limits.strangers, most // 4) if most > 0 else limits.strangers,
        limits.strangers_per_source,
        limits.handshakes,
        limits.handshakes_per_source,
    )


def kept(settings: Settings) -> list[tuple[Uri, str]]:
    """Where connections are kept at all times, each with the name of its terms of TLS."""
    trunks = [
        (one.outbound, profile_of(one)) for one in settings.trunks if one.outbound and one.keep_connected
    ]
    return [*trunks, *((one.sip, profile_of(one)) for one in settings.agents if one.keep_connected)]


def _rules(tls: Tls, also: tuple[Path, ...]) -> ClientRules:
    return ClientRules(
        tls.ca,
        also if tls.ca is None else (),
        tls.certificate,
        tls.key,
        TlsTerms(tls.min_version, tls.max_version, tls.ciphers),
        tls.name,
        strict=tls.verify == "sip-domain",
    )
