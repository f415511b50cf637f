"""Warns of models that are shut down while the process runs: calls would go on without an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from proxy.config import Settings
from proxy.services.policy_setup import ending
from screening.openai.model_shutdowns import Shutdown

log = structlog.get_logger("screendoor")

CHECK_INTERVAL_S = 86400.0


async def watch(
    settings: Settings, wall_clock: Callable[[], datetime], notify: Callable[[Shutdown], None]
) -> None:
    """Log every shutdown once a day, and notify of each of its stages once; never returns.

    At startup only the notices are sent: the command has logged the rest already.
    """
    notified = set[tuple[str, str]]()
    started = False
    while True:
        for shutdown in ending(settings, wall_clock().date()):
            if started:
                log.warning(str(shutdown))
            if (stage := (shutdown.at, shutdown.stage)) not in notified:
                notified.add(stage)
                notify(shutdown)
        started = True
        await asyncio.sleep(CHECK_INTERVAL_S)
