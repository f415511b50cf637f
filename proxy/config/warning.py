"""What is allowed in the settings and yet worth a word at the start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address

from proxy.config import api, certificate, notices
from proxy.config.model import Settings
from proxy.sip.uri import Uri


def warnings(settings: Settings, now: datetime) -> Iterator[str]:
    """Yield one line for each thing that will work less well than its owner may think."""
    offering: list[tuple[str, str, Uri]]
    offering = [(f"agent {one.name}", one.srtp, one.sip) for one in settings.agents]
    offering += [(f"trunk {one.name}", one.srtp, one.outbound) for one in settings.trunks if one.outbound]
    for name, srtp, uri in offering:
        if srtp in ("offer", "require") and uri.transport != "tls" and uri.scheme != "sips":
            over = uri.transport or "udp"
            yield f'{name}: srtp = "{srtp}" sends its keys over {over}, for all to read: use transport=tls'
    for listen in settings.listeners:
        if listen.transport != "tls" or listen.certificate is None:
            continue
        shown = certificate.certificate(listen.certificate)
        if certificate.expired(shown, now):
            yield f"{listen.certificate}: the certificate expired on {shown.not_valid_after_utc:%Y-%m-%d}"
        if not certificate.covers(shown, settings.public.host):
            yield f"{listen.certificate}: the certificate does not name public.host {settings.public.host}"
    terms = [(one.name, one.tls) for one in settings.trunks] + [
        (one.name, one.tls) for one in settings.agents
    ]
    for name, tls in terms:
        if tls is None or tls.certificate is None:
            continue
        shown = certificate.certificate(tls.certificate)
        if certificate.expired(shown, now):
            on = f"{shown.not_valid_after_utc:%Y-%m-%d}"
            yield f"{tls.certificate}: the certificate for {name} expired on {on}"
    yield from notices.remarks(settings.notified, kept=settings.memory.url != "off")
    yield from api.warnings(settings.api, settings.http.bind, tls=settings.http.certificate is not None)
    ours = ip_address(settings.public.address)
    outside = any(agent.sip.host.endswith((".openai.com", ".ai.azure.com")) for agent in settings.agents)
    if outside and not ours.is_global:
        yield f"public.address {ours} cannot be reached from the internet: the agent's audio would go nowhere"
