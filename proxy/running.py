"""Runs the edge as a process until a signal, then drains and stops."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from proxy import log as logging
from proxy.app import App
from proxy.config import Settings
from proxy.garbage_collection import collect_when_idle, disable_automatic_collection

log = structlog.get_logger("screendoor")


async def run(settings: Settings) -> int:
    """Take calls until SIGTERM, SIGINT or SIGHUP, then drain; a second signal skips the drain."""
    logging.configure(settings.log.level, settings.log.format)
    _allow_sockets()
    asked_to_stop, skip_drain = asyncio.Event(), asyncio.Event()
    app = App(settings)
    serving = asyncio.ensure_future(_serve(app, settings, asked_to_stop, skip_drain))

    def stop(*, again: Callable[[], None] = skip_drain.set) -> None:
        if asked_to_stop.is_set():
            return again()
        asked_to_stop.set()
        if not app.listening:
            serving.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
        loop.add_signal_handler(signal.SIGHUP, partial(stop, again=lambda: None))
    try:
        await serving
    except asyncio.CancelledError:
        if not asked_to_stop.is_set():
            raise
    log.info("stopped")
    return 0


async def _serve(
    app: App, settings: Settings, asked_to_stop: asyncio.Event, skip_drain: asyncio.Event
) -> None:
    async with app:
        disable_automatic_collection()
        core, registry = app.core, app.registry
        collecting = asyncio.ensure_future(
            collect_when_idle(lambda: len(registry), lambda: len(core.clients) + len(core.servers))
        )
        log.info("ready", listening=app.listening, numbers=len(settings.numbers))
        await asked_to_stop.wait()
        collecting.cancel()
        draining = asyncio.ensure_future(app.drain(settings.drain.limit_s))
        hurry = asyncio.ensure_future(skip_drain.wait())
        await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not draining.done():
            draining.cancel()
            await app.drain(0.0)


def _allow_sockets() -> None:
    """Raise the soft limit of file descriptors to the hard one: a call takes six for its media."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # the system may refuse "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
