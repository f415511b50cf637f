"""The session timer of one leg (RFC 4028): sends our refreshes, and notices a peer that has gone silent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.sip.errors import ParseError, SipError
from proxy.sip.message import Request, Response
from proxy.sip.session import Expired, Refresh, SessionTimer
from proxy.sip.session.timer import MIN_RETRY_S, HeaderLines
from proxy.sip.values import retry_after
from proxy.ua.errors import Rejected, TransactionTimeout
from proxy.ua.in_dialog_client import Final, InDialogRequest, accepted
from proxy.ua.reason import EndReason
from proxy.ua.timer_queue import Timer

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


class SessionKeeper:
    """Asks every peer for a session timer and runs what is agreed; see `SessionTimer`."""

    __slots__ = ("_leg", "_scheduled", "_timer")

    def __init__(self, leg: Leg, timer: SessionTimer) -> None:
        self._leg, self._timer = leg, timer
        self._scheduled: Timer | None = None

    # For the INVITE that begins the leg.

    def start(self) -> HeaderLines:
        """Start the timer; returns headers for our 2xx to the peer's INVITE."""
        self._timer.start(self._now())
        self._arm()
        return self._timer.headers

    def invite_headers(self) -> HeaderLines:
        """Headers for our INVITE (§7.1)."""
        return _without_supported(self._timer.headers)

    def accepts_interval(self, refusal: Response) -> bool:
        """Whether a 422 to our INVITE or refresh is worth a retry with a longer interval (§7.3)."""
        try:
            self._timer.raise_interval(refusal)
        except ParseError as error:
            self._leg.log.warning("session interval cannot be agreed", reason=str(error))
            return False
        return True

    def answered(self, response: Response) -> None:
        """The peer has answered our INVITE, re-INVITE or UPDATE."""
        try:
            self._timer.refreshed(self._now(), response)
        except ParseError as error:
            self._leg.log.warning("session timer not understood", reason=str(error))
        self._arm()

    # For later requests.

    @staticmethod
    def too_small(request: Request) -> list[tuple[str, str]] | None:
        """Headers for a 422 to a re-INVITE or UPDATE whose interval is too small (§9), else None.

        Raises ParseError.
        """
        asked = SessionTimer.answering(request)
        return list(asked.headers) if asked.too_small else None

    def refreshed(self, request: Request) -> list[tuple[str, str]]:
        """Headers for our 2xx to the peer's re-INVITE or UPDATE; raises ParseError."""
        if self._leg.early:  # the first 2xx is still to come, and decides
            return []
        self._timer.refreshed(self._now(), request)
        self._arm()
        return list(self._timer.headers)

    def headers(self) -> list[tuple[str, str]]:
        """Headers for our re-INVITE or UPDATE: without them it would turn the timer off (§7.4)."""
        return list(self._timer.refresh_headers)

    def stop(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None

    def _arm(self) -> None:
        if self._scheduled is not None:
            self.stop()
        if (due := self._timer.deadline) is not None and not self._leg.ended.done():
            self._scheduled = self._leg.core.timer_queue.at(due, self._expire)

    def _expire(self) -> None:
        for effect in self._timer.expire(max(self._now(), self._timer.deadline or 0.0)):
            match effect:
                case Refresh():
                    self._leg.core.spawn(self._refresh(self._timer))
                case Expired():
                    self._leg.lost(EndReason.SESSION_EXPIRED)
        self._arm()

    async def _refresh(self, timer: SessionTimer) -> None:
        """Refresh by UPDATE if the peer accepts it, else by re-INVITE (§7.4); see `SessionTimer.missed`."""
        again_s: float | None = None
        try:
            return await (self._update() if timer.by_update else self._leg.refresh())
        except Rejected as refusal:
            if refusal.status == 422 and self.accepts_interval(refusal.response):
                again_s = 0.0
            elif refusal.status in (405, 501) and timer.by_update:
                timer.update_refused()
                again_s = 0.0
            elif refusal.status == 491:
                again_s = self._leg.reoffers.glare_s()
            else:
                again_s = _retry_after_s(refusal.response)
            self._leg.log.debug("session not refreshed", answer=str(refusal))
        except SipError as error:
            self._leg.log.debug("session not refreshed", answer=str(error))
        timer.refresh_failed(self._now(), again_s)
        self._arm()

    async def _update(self) -> None:
        """UPDATE without an offer: only refreshes the session (§7.4). Raises what a re-INVITE does."""
        dialog = self._leg.live_dialog()
        request = dialog.request("UPDATE")
        for name, value in [*self._leg.capabilities(), *self.headers()]:
            if name not in request.headers:
                request.headers.add(name, value)
        outcome: asyncio.Future[Final] = asyncio.get_running_loop().create_future()
        InDialogRequest(self._leg, dialog, request, outcome.set_result).start()
        final = await outcome
        try:
            self.answered(accepted(final))
        except (Rejected, TransactionTimeout) as error:
            if error.status in (408, 481):  # §10, RFC 3261 §12.2.1.2
                self._leg.lost(EndReason.UNREACHABLE)
            raise

    def _now(self) -> float:
        return self._leg.core.timer_queue.now()


def _without_supported(headers: HeaderLines) -> HeaderLines:
    """Without Supported, which our INVITE has anyway."""
    return tuple([header for header in headers if header[0] != "Supported"])


INVITE_HEADERS = _without_supported(SessionTimer.offering().headers)
"""What our INVITE asks of every peer (§7.1), as long as `SessionKeeper.invite_headers` has no more to say."""


def _retry_after_s(refusal: Response) -> float | None:
    """The Retry-After of a refusal, at least some seconds: with 0 we would retry without end."""
    asked_s = retry_after(refusal.headers.get("Retry-After"))
    return None if asked_s is None else max(asked_s, MIN_RETRY_S)
