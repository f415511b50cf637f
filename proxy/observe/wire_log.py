"""Logs every SIP message in full at DEBUG."""

from __future__ import annotations

import structlog

from proxy.observe.masking import masked
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow, format_address

log = structlog.get_logger("screendoor")


def log_message(direction: str, flow: Flow, message: Request | Response) -> None:
    """Log one message; `direction` is `<` received or `>` sent. Secrets are masked."""
    lines = masked(message.encode()).decode("utf-8", "replace").splitlines()
    log.debug(direction, peer=f"{flow.transport}:{format_address(flow.remote)}", message="\n".join(lines))
