"""Verifies the Identity headers of a call within a bounded time (RFC 8224 §6.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from screening.contract import MAX_IDENTITIES, IdentityHeaders, Verification
from screening.stir.certificates import CertificateCache
from screening.stir.passport import Passport, PassportRefused, find_originator

MAX_FETCHED = 3
"""Maximum certificates fetched for one call: a real one needs no more, and no caller may keep us busy."""


class Verifier:
    """Verifies signed tokens while entered as an ``async with``."""

    def __init__(
        self, certificates: CertificateCache, wall_clock: Callable[[], datetime], patience_s: float = 1.0
    ) -> None:
        self._certificates, self._wall_clock, self._patience_s = certificates, wall_clock, patience_s

    async def __aenter__(self) -> Self:
        await self._certificates.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._certificates.__aexit__(kind, error, trace)

    async def verify(self, signed: IdentityHeaders, country: str) -> Verification:
        """Return the result within `patience_s`, whatever the tokens contain."""
        faults: list[PassportRefused] = []
        now = self._wall_clock()
        passports = [each for each in _parse_all(signed, country, faults) if _fresh(each, now, faults)]
        try:
            if passports:
                find_originator(
                    passports, signed, country
                )  # fetch nothing for tokens that would prove nothing
                refusals = await self._fetch(list(dict.fromkeys(each.x5u for each in passports)))
                good = [each for each in passports if self._passes(each, refusals, faults)]
                if good:
                    return _passed(*find_originator(good, signed, country))
        except PassportRefused as refused:
            faults.append(refused)
        return _refused(faults)

    async def _fetch(self, urls: Sequence[str]) -> Mapping[str, PassportRefused]:
        """Fetch missing certificates, waiting no longer than `patience_s`; late ones go on, for the next
        call.

        Returns the refusals by URL.
        """
        tasks: set[asyncio.Task[None]] = set()
        refusals: dict[str, PassportRefused] = {}
        for url in urls:
            try:
                if self._certificates.cached(url) is None:
                    if len(tasks) >= MAX_FETCHED:
                        raise PassportRefused("too many certificates for one call", "unknown")
                    tasks.add(self._certificates.fetch(url))
            except PassportRefused as refused:
                refusals[url] = refused
        if tasks:
            await asyncio.wait(tasks, timeout=self._patience_s)
        return refusals

    def _passes(
        self, passport: Passport, refusals: Mapping[str, PassportRefused], faults: list[PassportRefused]
    ) -> bool:
        try:
            if passport.x5u in refusals:
                raise refusals[passport.x5u]
            self._check(passport)
        except PassportRefused as refused:
            faults.append(refused)
            return False
        return True

    def _check(self, passport: Passport) -> None:
        credential = self._certificates.cached(passport.x5u)
        if credential is None:
            raise PassportRefused("the certificate did not arrive in time", "unknown")
        if not credential.valid(self._wall_clock()):
            raise PassportRefused("the certificate is expired or not yet valid")
        if not passport.signed_by(credential.key):
            raise PassportRefused("the signature is not the certificate's")
        if not credential.covers(passport.div or passport.orig):
            raise PassportRefused("the certificate is for other numbers")


def _parse_all(signed: IdentityHeaders, country: str, faults: list[PassportRefused]) -> Iterator[Passport]:
    """Yield the tokens, each followed by those nested in it."""
    left = MAX_IDENTITIES
    for value in signed.identities[:MAX_IDENTITIES]:
        try:
            passport: Passport | None = Passport.parse(value, signed, country)
            while passport is not None and left:
                left -= 1
                yield passport
                passport = Passport.parse_full(passport.opt) if passport.opt else None
        except PassportRefused as refused:
            faults.append(refused)


def _fresh(passport: Passport, now: datetime, faults: list[PassportRefused]) -> bool:
    if passport.fresh(now):
        return True
    faults.append(PassportRefused("the token is too old, or dated in the future"))
    return False


def _passed(passport: Passport, diverted: bool) -> Verification:
    return Verification("passed", passport.attest, diverted, passport.origid, "identity")


def _refused(faults: Sequence[PassportRefused]) -> Verification:
    """Return the first fault of the gravest kind."""
    for fault in sorted(faults, key=lambda each: each.result):
        return Verification(fault.result, source="identity", why=str(fault))
    return Verification("none", source="identity")
