"""Adapts the media session of a call to one SIP leg: offers, answers, and errors as SIP statuses."""

from __future__ import annotations

from proxy.call.journal import Journal
from proxy.media.audio_line import refuse_all
from proxy.media.interface import MediaRefused, MediaSession
from proxy.media.ports import NoPortFree
from proxy.media.sdes import SrtpPolicy
from proxy.ua.errors import OfferRefused

_ACCEPT, _OFFER = SrtpPolicy.ACCEPT, SrtpPolicy.OFFER
_NOT_YET = "not yet"
"""In place of a suite for a leg that was offered SRTP: it is logged if the peer then takes none."""
UNABLE = (MediaRefused, NoPortFree)
"""What a media session raises when it cannot do what is asked."""


class LegMedia:
    """One leg's view of the call's media session; translates its errors to OfferRefused with a status."""

    __slots__ = ("_journal", "_leg", "_logged_suite", "_session", "_unanswered")

    def __init__(self, session: MediaSession, leg: str, policy: SrtpPolicy, journal: Journal) -> None:
        self._session, self._leg, self._journal = session, leg, journal
        self._logged_suite: str | None = _NOT_YET if policy is _OFFER else None
        """The SRTP suite that was logged last; None if it is plain RTP, and that is expected or logged."""
        self._unanswered = False
        """Whether the peer's offer is still to be answered, by `repeat_sdp`."""
        if policy is not _ACCEPT:
            session.set_srtp_policy(leg, policy)

    def use_ip_version(self, ip_version: int, near: tuple[str, str] | None = None) -> None:
        self._session.use_ip_version(self._leg, ip_version, near)

    def offer(self) -> bytes:
        try:
            return self._session.offer(self._leg)
        except UNABLE as problem:
            raise _as_offer_refused(problem) from problem

    def repeat_sdp(self) -> bytes:
        try:
            sdp_again = self._session.repeat_sdp(self._leg)
        except UNABLE as problem:
            raise _as_offer_refused(problem) from problem
        if self._unanswered:
            self._unanswered = False
            if (suite := self._session.srtp_suite(self._leg)) != self._logged_suite:
                self._log_suite(suite)
        return sdp_again

    def answered(self, sdp: bytes) -> None:
        try:
            self._session.answered(self._leg, sdp)
        except UNABLE as problem:
            raise _as_offer_refused(problem) from problem
        if (suite := self._session.srtp_suite(self._leg)) != self._logged_suite:
            self._log_suite(suite)

    def take_early_media(self, sdp: bytes) -> None:
        self._session.take_early_media(self._leg, sdp)

    def accept(self, sdp: bytes) -> bytes:
        try:
            answer = self._session.accept(self._leg, sdp)
        except UNABLE as problem:
            raise _as_offer_refused(problem) from problem
        self._unanswered = not answer
        if answer and (suite := self._session.srtp_suite(self._leg)) != self._logged_suite:
            self._log_suite(suite)
        return answer

    def fall_back(self) -> bool:
        if not self._session.fall_back(self._leg):
            return False
        self._journal.step("offer refused", f"{self._leg} is called again with another")
        return True

    def _log_suite(self, suite: str | None) -> None:
        """Log how the leg's audio is protected: it has changed, or is not what we asked for."""
        self._logged_suite = suite
        if suite is None:
            self._journal.step("audio not protected", f"{self._leg} takes no SRTP")
        else:
            self._journal.log.info("audio protected", leg=self._leg, suite=suite)

    def key_pressed(self, digit: str, seconds: float) -> None:
        self._session.key_pressed(self._leg, digit, seconds)

    def refuse_all(self, sdp: bytes) -> bytes:
        return refuse_all(sdp)


def _as_offer_refused(problem: MediaRefused | NoPortFree) -> OfferRefused:
    if isinstance(problem, MediaRefused):
        return OfferRefused(problem.reason, 488)
    return OfferRefused("no free media port", 503)
