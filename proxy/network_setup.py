"""Builds the network layer from the settings: listeners, TLS profiles of peers, connection limits."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

from proxy.config import Listen, Settings, model
from proxy.config.server import Tls
from proxy.sip.uri import Uri
from proxy.transport.connections import ConnectionLimits
from proxy.transport.flow import Flow, ListenOn
from proxy.transport.keepalive import KeepAliveRules
from proxy.transport.network import SocketNetwork
from proxy.transport.resolver import Resolver
from proxy.transport.stream import StreamLimits
from proxy.transport.tls import ClientRules, ClientTls, ServerTls, TlsProfiles
from proxy.transport.tls_policy import TlsPolicy


def tls_profiles(settings: Settings) -> TlsProfiles:
    """Build the TLS profiles for outgoing connections; raises TransportFailed for unusable files."""
    also = tuple(agent.ca for agent in settings.agents if agent.ca is not None)
    tables: list[model.Trunk | model.Agent] = [*settings.trunks, *settings.agents]
    return TlsProfiles(
        ClientTls(extra_ca=also),
        {profile_of(one): ClientTls(rules=_rules(one.tls, also)) for one in tables if one.tls is not None},
    )


def profile_of(one: model.Trunk | model.Agent) -> str:
    """The name of a trunk's or agent's TLS profile; empty if it has none of its own."""
    if one.tls is None:
        return ""
    return f"trunk {one.name}" if isinstance(one, model.Trunk) else f"agent {one.name}"


def trunk_profiles(settings: Settings) -> dict[str, str]:
    """The name of each trunk's TLS profile, by the trunk's name."""
    return {trunk.name: profile_of(trunk) for trunk in settings.trunks}


def profile_of_flow(settings: Settings, trunk_of: Callable[[Flow], str | None]) -> Callable[[Flow], str]:
    """Return a function that maps a connection to the name of the TLS profile of its trunk."""
    named = trunk_profiles(settings)
    if not any(named.values()):  # the usual case: no need to find out which trunk it is
        return lambda flow: ""
    return lambda flow: named.get(trunk_of(flow) or "", "")


def network(settings: Settings, resolver: Resolver) -> SocketNetwork:
    """Build everything below the user agents; raises TransportFailed for files that cannot be used."""
    return SocketNetwork(
        resolver,
        limits=StreamLimits(handshake_s=settings.connections.handshake_s),
        profiles=tls_profiles(settings),
        strangers=connection_limits(settings, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        keep_alive=KeepAliveRules(settings.connections.keep_alive_s, settings.connections.idle_s),
    )


def listen_on(listen: Listen) -> ListenOn:
    """Convert one [[listen]] table."""
    tls = None
    if listen.certificate is not None and listen.key is not None:
        tls = ServerTls(
            listen.certificate,
            listen.key,
            TlsPolicy(listen.min_version, listen.max_version, listen.ciphers),
            listen.client_certificates,
            listen.client_ca,
        )
    return ListenOn(listen.transport, listen.bind, tls)


def connection_limits(settings: Settings, max_descriptors: int) -> ConnectionLimits:
    """Limits on connections from strangers: at most a quarter of our descriptors.

    `max_descriptors` is the system's limit; a negative one means unlimited.
    """
    limits = settings.connections
    return ConnectionLimits(
        min(limits.strangers, max_descriptors // 4) if max_descriptors > 0 else limits.strangers,
        limits.strangers_per_source,
        limits.handshakes,
        limits.handshakes_per_source,
    )


def kept_connections(settings: Settings) -> list[tuple[Uri, str]]:
    """The peers to which a connection is kept open permanently, each with the name of its TLS profile."""
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
        TlsPolicy(tls.min_version, tls.max_version, tls.ciphers),
        tls.name,
        strict=tls.verify == "sip-domain",
    )
