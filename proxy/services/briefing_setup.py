"""Builds `TalkSettings`, from which agents are briefed, and checks the templates in the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxy.config import Problem, Settings
from proxy.config import model as config
from screening.settings import SIP_AGENT, TalkSettings
from screening.talk.briefings import BadTemplates, Briefings
from screening.talk.disclosure import says_automated
from screening.talk.tools import END_CALL, REQUEST_CONNECT, NamedDestination

DEFAULT_TOOLS = (REQUEST_CONNECT, END_CALL)
"""Taking messages is opt-in, since a model's summary is no recording."""


def talk(settings: Settings, number: config.Number) -> TalkSettings | None:
    """The talk settings of a number; None if its agent is not ours to brief, or it has none."""
    agent = settings.agent_of(number)
    return next((found for each, found in _talks(settings, number) if each is agent), None)


def backup_talks(settings: Settings, number: config.Number) -> Mapping[str, TalkSettings]:
    """The talk settings of a number for each backup agent that is ours to brief, by its name."""
    first = settings.agent_of(number)
    return {each.name: found for each, found in _talks(settings, number) if each is not first}


def _talks(settings: Settings, number: config.Number) -> Iterator[tuple[config.Agent, TalkSettings]]:
    for agent in settings.agents_of(number):
        if agent.provider != SIP_AGENT:
            yield agent, _talk(settings, number, agent)


def _talk(settings: Settings, number: config.Number, agent: config.Agent) -> TalkSettings:
    common = settings.screening_of(number)
    own = agent.instructions
    recorded = common.record == "on" and common.record_announced
    return TalkSettings(
        name=common.name or "",
        languages=common.language or (settings.speech.language,),
        greeting=common.greeting,
        instructions=common.instructions or ({"": own} if own else {}),
        dialed="" if number.dialed == "*" else number.dialed,
        hours=hours(common),
        optional_tools=frozenset(DEFAULT_TOOLS if common.tools is None else common.tools),
        places=tuple(NamedDestination(each.name, each.about) for each in number.destinations if each.name),
        transcribed=common.consent and _transcribed(settings),
        # The agent need not repeat what is announced before it speaks.
        recorded=common.consent and recorded and not common.announcement,
        keys=common.keys_ or {},
    )


def targets(number: config.Number) -> Mapping[str, str]:
    """What the agent refers to for each named destination."""
    return {each.name: each.target for each in number.destinations if each.name}


def hours(common: config.Screening) -> str:
    """The opening hours of a number as text; empty: always open."""
    parts = [", ".join(common.hours)] if common.hours else []
    parts += [f"not {', '.join(common.quiet)}"] if common.quiet else []
    parts += [f"closed on {', '.join(common.holidays)}"] if common.holidays else []
    return f"{'; '.join(parts)} (time of {common.time_zone})" if parts else ""


def _transcribed(settings: Settings) -> bool:
    """Whether transcripts are stored anywhere."""
    remembered = settings.memory.url != "off" and settings.memory.transcripts == "on"
    return remembered or settings.records is not None


def problems(settings: Settings, file: str) -> Iterator[Problem]:
    """Invalid templates, each reported under the key where it is defined."""
    seen = set[str]()
    for place, agent, talk_settings in _all_talks(settings):
        try:
            Briefings(talk_settings)
        except BadTemplates as bad:
            for key, problem in bad.problems.items():
                at = _at(settings, place, agent, key)
                line = Problem(file, at, "a template that can be used", problem)
                if str(line) not in seen:
                    seen.add(str(line))
                    yield line


def _all_talks(settings: Settings) -> Iterator[tuple[int, config.Agent, TalkSettings]]:
    """The talk settings of all numbers, each with the number's place and the agent."""
    for place, number in enumerate(settings.numbers):
        yield from ((place, agent, found) for agent, found in _talks(settings, number))


def _at(settings: Settings, place: int, agent: config.Agent, key: str) -> str:
    """Where a template of a number is defined: the number, ``[screening]`` or its agent."""
    name = key.partition(".")[0]
    if getattr(settings.numbers[place], name) is not None:
        return f"number[{place}].{key}"
    if getattr(settings.screening, name) is not None:
        return f"screening.{key}"
    return f"agent[{settings.agents.index(agent)}].{key}"


def remarks(settings: Settings) -> Iterator[str]:
    """Custom texts that do not disclose an automated assistant, one line each."""
    found: dict[str, None] = {}
    for place, agent, talk_settings in _all_talks(settings):
        own = {
            "greeting": talk_settings.greeting is not None,
            "instructions": bool(talk_settings.instructions),
        }
        for language, briefing in Briefings(talk_settings).by_language().items():
            for key, text in (("greeting", briefing.greeting), ("instructions", briefing.instructions)):
                if own[key] and text and not says_automated(text):
                    at = _at(settings, place, agent, key)
                    found[f"{at}: it does not say ({language}) that an automated assistant speaks"] = None
    yield from found


def shown(settings: Settings, number: config.Number) -> Iterator[str]:
    """The briefing of a number's agents for an unknown caller, as ``screendoor prompt`` prints it."""
    talks = list(_talks(settings, number))
    if not talks:
        yield f"{number.dialed}: no agent that Screendoor instructs"
    for agent, talk_settings in talks:
        yield from _shown(
            number.dialed if len(talks) == 1 else f"{number.dialed}, {agent.name}", talk_settings
        )


def _shown(about: str, talk_settings: TalkSettings) -> Iterator[str]:
    for language, briefing in Briefings(talk_settings).by_language().items():
        yield f"# {about}, {language}"
        yield f"tools: {', '.join(briefing.tools.names)}"
        keys = ", ".join(f"{key} = {does}" for key, does in briefing.keys.items())
        yield f"keys: {keys or 'none'}"
        heard = " (cannot be interrupted)" if briefing.uninterruptible else ""
        yield f"greeting{heard}: {briefing.greeting or 'none, the agent opens by its instructions'}"
        yield f"instructions:\n{briefing.instructions}\n"
