"""Warnings at startup about settings that are valid but probably not intended."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from proxy.config import api, certificate, notices
from proxy.config.load import local_address
from proxy.config.model import Settings
from proxy.sip.uri import Uri


def of_this_machine(address: str) -> bool:
    """Whether the address belongs to this machine, so that a socket can be bound to it."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def warnings(
    settings: Settings,
    *,
    find_address: Callable[[], str | None] = local_address,
    has_address: Callable[[str], bool] = of_this_machine,
) -> Iterator[str]:
    """Yield one line for each thing that will work less well than its owner may think."""
    offering: list[tuple[str, str, Uri]]
    offering = [(f"agent {one.name}", one.srtp, one.sip) for one in settings.agents]
    offering += [(f"trunk {one.name}", one.srtp, one.outbound) for one in settings.trunks if one.outbound]
    for name, srtp, uri in offering:
        if srtp in ("offer", "require") and uri.transport != "tls" and uri.scheme != "sips":
            over = uri.transport or "udp"
            yield f'{name}: srtp = "{srtp}" sends its keys over {over}, for all to read: use transport=tls'
    yield from _certificates(settings)
    yield from notices.remarks(settings.notified, kept=settings.memory.url != "off")
    yield from api.warnings(settings.api, settings.http.bind, tls=settings.http.certificate is not None)
    ours = ip_address(settings.public.address)
    outside = any(agent.sip.host.endswith((".openai.com", ".ai.azure.com")) for agent in settings.agents)
    if outside and not ours.is_global:
        yield f"public.address {ours} cannot be reached from the internet: the agent's audio would go nowhere"
    yield from _sent_from(settings, find_address, has_address)


def _certificates(settings: Settings) -> Iterator[str]:
    """Certificates of listeners have to name `public.host`."""
    secured = [one.certificate for one in settings.listeners if one.transport == "tls"]
    for file in dict.fromkeys(secured):
        if file is not None and not certificate.covers(certificate.certificate(file), settings.public.host):
            yield f"{file}: the certificate does not name public.host {settings.public.host}"


def _sent_from(
    settings: Settings, find_address: Callable[[], str | None], has_address: Callable[[str], bool]
) -> Iterator[str]:
    """A machine with several addresses chooses the source address itself unless bound to one."""
    ours = settings.public.address
    places = {listen.bind[0] for listen in settings.listeners if listen.transport == "udp"}
    free = "0.0.0.0" in places | {settings.media.bind} and ":" not in ours and ip_address(ours).is_global
    if free and (chosen := find_address()) not in (None, ours) and has_address(ours):
        yield (
            f"public.address {ours} is an address of this machine, which sends from {chosen}, though: "
            "bind to it in [[listen]] and [media], or peers may not take what comes"
        )
