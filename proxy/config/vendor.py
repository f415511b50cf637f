"""Which vendor's voice AI an agent is: keys of ``[[agent]]`` that differ between vendors.

Defaults and checks look at the raw TOML: a default may depend on the vendor, and `region` determines every
address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import PlainValidator

from proxy.config import values
from proxy.config.keys import Line, Table
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, read, tables

OPENAI_BASE = "https://api.openai.com/v1"
REALTIME = "openai-realtime"
LIVE = "openai-live"
AZURE = "azure-realtime"
OPENAI_HOST = ".api.openai.com"

_AZURE_ONLY = ("resource",)
_LIVE_ONLY = ("delegation", "delegate_model")


def label(value: object) -> str:
    """Validate a single label of a host name: a vendor's region, or the name of an Azure resource."""
    if (
        not isinstance(value, str)
        or re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", value) is None
    ):
        raise fault("a name of letters, digits and -, such as eu or swedencentral", shown(value))
    return value.lower()


Label = Annotated[str, PlainValidator(label)]


class Vendor(Table):
    """The API that serves the agent, and its addresses."""

    provider: Literal["openai-realtime", "openai-live", "azure-realtime", "sip"] = "openai-realtime"
    region: Label | None = None
    """The vendor's region, for SIP and REST alike; None: OpenAI's global hosts."""
    resource: Label | None = None
    """The name of the Azure resource."""
    transcription: Line | None = None
    """The transcription model for what callers say; ``off``: none, None: the vendor's default."""
    delegation: Literal["responses", "client"] = "responses"
    """Who queries the reasoning model of a Live agent; the values are those of `screening.settings`."""
    delegate_model: Line = "gpt-5.6-luna"

    @property
    def transcriber(self) -> str | None:
        """The transcription model; at Azure there is none unless deployed and named."""
        if self.transcription == "off":
            return None
        return self.transcription or ("gpt-transcribe" if self.provider == REALTIME else None)


def filled(raw: Any) -> Any:
    """Fill in an ``[[agent]]``'s addresses, model and SRTP mode from its other keys."""
    if not isinstance(raw, dict):
        return raw
    provider = raw.get("provider", REALTIME)
    defaults: dict[str, Any] = {}
    if isinstance(raw.get("project"), str) and (host := _sip_host(raw)):
        defaults["sip"] = f"sip:{raw['project']}@{host}:5061;transport=tls"
    if base := _base(raw):
        defaults["api_base"] = base
    if provider == LIVE:
        defaults |= {"srtp": "require", "model": "gpt-live-1"}
    return defaults | raw


def check(raw: Raw) -> Iterator[Found]:
    """Yield every inconsistency between the keys of an agent and its vendor."""
    for at, agent in tables(raw, "agent"):
        provider = agent.get("provider", REALTIME)
        yield from _only_where_used(at, agent, provider)
        if provider == LIVE and agent.get("srtp", "require") != "require":
            yield (
                f"{at}.srtp",
                fault('"require" (GPT-Live takes calls with SRTP alone)', shown(agent["srtp"])),
            )
        if provider == AZURE:
            yield from _azure(at, agent)
        if provider != "sip":
            yield from _one_region(at, agent, provider)


def _only_where_used(at: str, agent: Raw, provider: object) -> Iterator[Found]:
    for keys, wanted in ((_AZURE_ONLY, AZURE), (_LIVE_ONLY, LIVE)):
        for key in keys:
            if key in agent and provider not in (wanted, "sip"):
                yield f"{at}.{key}", fault(f"no such key, or provider {wanted}", shown(agent[key]))
    if "transcription" in agent and provider == LIVE:
        yield (
            f"{at}.transcription",
            fault("no such key (GPT-Live always transcribes)", shown(agent["transcription"])),
        )


def _azure(at: str, agent: Raw) -> Iterator[Found]:
    if "model" not in agent:
        yield f"{at}.model", fault("the name of your deployment (azure-realtime needs it)", "nothing")
    if "api_base" not in agent and "resource" not in agent:
        yield f"{at}.resource", fault("the name of your resource (or api_base)", "nothing")
    if "sip" not in agent and not ("project" in agent and "region" in agent):
        yield f"{at}.region", fault("project and region, such as swedencentral (or sip)", "not both")


def _one_region(at: str, agent: Raw, provider: object) -> Iterator[Found]:
    """SIP and REST use the same region: elsewhere the call is unknown, and accept gets 404."""
    uri, base = read(values.sip_uri, agent.get("sip")), agent.get("api_base")
    sip_host, rest_host = uri.host if uri else None, _host_of(base)
    if "region" in agent and read(label, agent["region"]) is not None:
        wanted = _sip_host(agent)
        if sip_host and wanted and sip_host.lower() != wanted:
            yield f"{at}.sip", fault(f"the host {wanted} (region says so), or no sip", shown(agent["sip"]))
        if base is not None and provider != AZURE and base != _base(agent):
            yield f"{at}.api_base", fault(f"{_base(agent)} (region says so), or no api_base", shown(base))
        return
    if provider == AZURE or sip_host is None:
        return
    ours, theirs = _region_of(sip_host), _region_of(rest_host or "api.openai.com")
    if ours is not None and theirs is not None and ours != theirs:
        expected = f"a host of the same region as in sip, {sip_host} (region sets both)"
        yield f"{at}.api_base", fault(expected, shown(base or OPENAI_BASE))


def _region_of(host: str) -> str | None:
    """The region of an OpenAI host, empty for the global ones; None for other hosts."""
    place, ours, rest = f".{host}".lower().partition(OPENAI_HOST)
    if not ours or rest:
        return None
    return place.lstrip(".").removeprefix("sip").removeprefix("-")


def _sip_host(raw: Raw) -> str | None:
    region = read(label, raw.get("region"))
    match raw.get("provider", REALTIME):
        case "azure-realtime":
            return f"{region}.sip.ai.azure.com" if region else None
        case "openai-realtime" | "openai-live":
            return f"sip-{region}.api.openai.com" if region else "sip.api.openai.com"
    return None


def _base(raw: Raw) -> str | None:
    """The base URL of the REST API according to region or resource; None if they are not set."""
    region, resource = read(label, raw.get("region")), read(label, raw.get("resource"))
    match raw.get("provider", REALTIME):
        case "azure-realtime":
            return f"https://{resource}.openai.azure.com/openai/v1" if resource else None
        case "openai-realtime" | "openai-live":
            return f"https://{region}.api.openai.com/v1" if region else None
    return None


def _host_of(url: object) -> str | None:
    found = re.match(r"https?://([^/:]+)", url) if isinstance(url, str) else None
    return found[1] if found else None
