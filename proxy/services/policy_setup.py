"""Builds the screening from the settings: policies, lists, agents; and checks those settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.config import Problem, Settings
from proxy.config import model as config
from proxy.config.attestation import Stir
from proxy.config.callers import CallerRules
from proxy.config.numbers import EMERGENCY, country_of
from proxy.config.problem import shown
from proxy.services import briefing_setup, costs, transcription
from screening import settings_check
from screening.callers import number_list, timetable
from screening.callers.contacts import Contacts, Import, read
from screening.callers.expected import NONE_EXPECTED
from screening.callers.number_list import NumberList
from screening.callers.timetable import Timetable
from screening.callers.wildcards import Wildcards
from screening.decision import Action, Doubt, Level, Rate
from screening.openai import model_shutdowns
from screening.openai.model_shutdowns import Shutdown
from screening.policy import Policy, normalized_name
from screening.screener import Screener
from screening.settings import AgentSettings, NumberSettings, ScreeningSettings

if TYPE_CHECKING:
    from screening.memory.live_lists import LiveLists
    from screening.stir.verifier import Verifier

MAX_ROWS_LISTED = 10
"""Bad rows listed per contact file; more are only counted."""
_LISTS = ("allow", "vip", "block", "emergency")
_WINDOWS = ("hours", "quiet")


def check(settings: Settings, file: str) -> list[Problem]:
    """Problems of the settings that only the screening can detect."""
    agents = [
        Problem(file, f"agent[{place}]", "an agent that can screen", sentence)
        for place, agent in enumerate(settings.agents)
        for sentence in settings_check.problems(_agent(agent))
    ]
    countries = [country(settings, number) for number in settings.numbers]
    found = list(_problems(file, "screening", settings.screening, countries[:1]))
    for place, number in enumerate(settings.numbers):
        found += _problems(file, f"number[{place}]", number, [countries[place]])
    return agents + found + list(briefing_setup.problems(settings, file))


def _problems(file: str, at: str, whom: CallerRules, countries: Iterable[str]) -> Iterator[Problem]:
    default_country = next(iter(countries), "us")
    of_numbers = partial(number_list.parse_entry, country=default_country)
    checks: list[tuple[str, Callable[[str], object]]] = [(key, of_numbers) for key in _LISTS]
    checks += [(key, timetable.parse_window) for key in _WINDOWS]
    checks += [("holidays", timetable.parse_holiday)]
    for key, parse in checks:
        for i, text in enumerate(getattr(whom, key)):
            try:
                parse(text)
            except ValueError as error:
                yield Problem(file, f"{at}.{key}[{i}]", str(error), shown(text))
    for i, path in enumerate(whom.contacts):
        try:
            imported = contacts_of(path, default_country)
        except OSError as error:
            yield Problem(file, f"{at}.contacts[{i}]", "a file that can be read", str(error.strerror))
        else:
            if not imported.rows:
                why = str(imported.bad[0]) if imported.bad else "none"
                yield Problem(file, f"{at}.contacts[{i}]", "a CSV or vCard file with telephone numbers", why)


def ending(settings: Settings, today: date) -> Iterator[Shutdown]:
    """The models in the settings that have been shut down or soon will be."""
    for agent in settings.agents:
        yield from model_shutdowns.shutdowns(_agent(agent), today)
    if (found := transcription.shutdown(settings, today)) is not None:
        yield found


def remarks(settings: Settings) -> Iterator[str]:
    """Warnings about costs, agent texts and contact files, one line each.

    Raises OSError for a missing file.
    """
    yield from costs.remarks(settings)
    yield from briefing_setup.remarks(settings)
    for path, default_country in _files(settings):
        bad = contacts_of(path, default_country).bad
        yield from (f"{path}: {each}" for each in bad[:MAX_ROWS_LISTED])
        if len(bad) > MAX_ROWS_LISTED:
            yield f"{path}: and {len(bad) - MAX_ROWS_LISTED} more such lines"


def summary(settings: Settings) -> Iterator[str]:
    """What was read from the contact files, one line each."""
    for path, default_country in _files(settings):
        found = contacts_of(path, default_country)
        yield f"{path}: {found.rows} read, {found.without_number} without a number, {len(found.bad)} remarks"


def _files(settings: Settings) -> list[tuple[Path, str]]:
    """Each contact file with the default country it is read with, once."""
    return list(
        dict.fromkeys(
            (path, country(settings, number))
            for number in settings.numbers
            for path in settings.screening_of(number).contacts
        )
    )


def contacts_of(path: Path, default_country: str) -> Import:
    """Read a contact file, cached until it changes. Raises OSError."""
    found = path.stat()
    return _read_contacts(path, default_country, found.st_mtime_ns, found.st_size)


@lru_cache(64)
def _read_contacts(path: Path, default_country: str, changed: int, size: int) -> Import:
    return read(path.read_bytes(), default_country)


def country(settings: Settings, number: config.Number) -> str:
    """Default country for numbers without ``+``: from the settings, or that of the dialed number."""
    given = number.country or settings.screening.country
    trunks = [trunk.caller_id for trunk in settings.trunks]
    numbers = [number.dialed, *(place.number for place in number.destinations), *trunks]
    found = next((found for each in numbers if (found := country_of(each))), "us")
    return (given or found).upper()


def policies(settings: Settings, live_lists: LiveLists | None = None) -> dict[str, Policy]:
    """The policy of each number; shared lists are held in memory once. Raises OSError.

    `live_lists` are the lists of the database, if there is one.
    """
    lists = _ListSources(settings, live_lists)
    return {number.dialed: _policy(settings, number, lists) for number in settings.numbers}


def _policy(settings: Settings, number: config.Number, lists: _ListSources) -> Policy:
    default_country, whom = country(settings, number), settings.screening_of(number)
    return Policy(
        level=Level(number.screen),
        country=default_country,
        home=frozenset((default_country, *whom.home)),
        emergency=lists.of("emergency", number, default_country, tuple(sorted(EMERGENCY))),
        block=lists.live("block", number, default_country),
        block_names=lists.names(number),
        vip=lists.live("vip", number, default_country),
        allow=lists.live("allow", number, default_country),
        contacts=lists.contacts(number, _contacts(whom, default_country)),
        anonymous=Action(whom.anonymous) if whom.anonymous else None,
        international=Action(whom.international) if whom.international else None,
        times=_times(whom),
        out_of_hours=Action(whom.out_of_hours),
        untrusted=Action(whom.untrusted),
        repeat_s=whom.repeat_s or 0.0,
        distrust=frozenset(map(Doubt, whom.distrust or ())),
        failed=Action(whom.failed) if whom.failed else None,
        rate=Rate(*whom.rate) if whom.rate else None,
        rate_action=Action(whom.rate_action),
        expecting=lists.live_lists.expecting if lists.live_lists else NONE_EXPECTED,
        gate=whom.gate == "challenge",
        reject_with=whom.reject_with,
        block_with=whom.block_with or whom.reject_with,
    )


class _ListSources:
    """Combines the lists of the settings, global and per number, with those of the database."""

    def __init__(self, settings: Settings, live_lists: LiveLists | None) -> None:
        self.live_lists = live_lists
        self._global = settings.screening
        self._list_of = lru_cache(None)(NumberList)
        self._names_of = lru_cache(None)(lambda texts: Wildcards(map(normalized_name, texts)))

    def of(
        self, key: str, number: config.Number, default_country: str, *also: tuple[str, ...]
    ) -> tuple[NumberList, ...]:
        """Lists of the settings; `default_country` is for numbers without ``+``."""
        return tuple(self._list_of(texts, default_country) for texts in (*self._texts(key, number), *also))

    def live(self, key: str, number: config.Number, default_country: str) -> Sequence[NumberList]:
        """Lists of the settings, and the live lists of the database."""
        own = self.of(key, number, default_country)
        return own if self.live_lists is None else self.live_lists.numbers(key, number.dialed, own)

    def names(self, number: config.Number) -> tuple[Wildcards, ...]:
        """Blocked names."""
        return tuple(map(self._names_of, self._texts("block_names", number)))

    def contacts(self, number: config.Number, files: tuple[Contacts, ...]) -> Sequence[Contacts]:
        """Contacts of the files, and the live contacts of the database."""
        return files if self.live_lists is None else self.live_lists.contacts(number.dialed, files)

    def _texts(self, key: str, number: config.Number) -> list[tuple[str, ...]]:
        return [texts for whom in (self._global, number) if (texts := getattr(whom, key))]


def _contacts(whom: CallerRules, default_country: str) -> tuple[Contacts, ...]:
    return tuple(contacts_of(path, default_country).contacts for path in whom.contacts)


def _times(whom: CallerRules) -> Timetable:
    if whom.time_zone is None:
        return Timetable()
    return Timetable(
        whom.time_zone,
        tuple(map(timetable.parse_window, whom.hours)),
        tuple(map(timetable.parse_window, whom.quiet)),
        tuple(map(timetable.parse_holiday, whom.holidays)),
    )


def screener(
    settings: Settings, wall_clock: Callable[[], datetime], live_lists: LiveLists | None = None
) -> Screener:
    """The screener, made from the settings."""
    return Screener(
        [_agent(agent) for agent in settings.agents],
        [
            NumberSettings(
                number.dialed,
                agent.name if (agent := settings.agent_of(number)) else "",
                number.target,
                settings.screening_of(number).talk_limit_s,
                settings.screening_of(number).ask_if_there_s,
                briefing_setup.talk(settings, number),
                briefing_setup.targets(number),
                briefing_setup.backup_talks(settings, number),
            )
            for number in settings.numbers
        ],
        wall_clock=wall_clock,
        token_bytes=secrets.token_bytes,
        policies=policies(settings, live_lists),
        accounts=costs.accounts(settings, wall_clock),
        verifier=_verifier(settings.stir, wall_clock),
    )


def _verifier(stir: Stir, wall_clock: Callable[[], datetime]) -> Verifier | None:
    """The verifier of Identity headers; None without trusted roots. Raises OSError."""
    if not stir.roots:
        return None
    from cryptography import x509

    from screening.stir.certificates import CertificateCache
    from screening.stir.verifier import Verifier

    roots = [each for file in stir.roots for each in x509.load_pem_x509_certificates(file.read_bytes())]
    return Verifier(CertificateCache(roots, wall_clock), wall_clock, stir.patience_s)


def _agent(agent: config.Agent) -> AgentSettings:
    common = partial(AgentSettings, agent.name, agent.provider)
    limits = ScreeningSettings(silence_limit_s=agent.silence_limit_s, ready_limit_s=agent.ready_limit_s)
    if agent.api_key is None or agent.webhook_secret is None:
        return common(limits=limits)
    return common(
        limits=limits,
        api_key=agent.api_key.get_secret_value(),
        webhook_secret=agent.webhook_secret.get_secret_value(),
        model=agent.model,
        voice=agent.voice,
        instructions=agent.instructions or "",
        transfer=agent.transfer,
        refer_patience_s=agent.refer_patience_s,
        api_base=agent.api_base,
        project=agent.project,
        transcription=agent.transcriber,
        delegation=agent.delegation,
        delegate_model=agent.delegate_model,
    )
