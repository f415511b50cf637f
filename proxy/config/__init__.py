"""Settings: reads TOML, validates it, and reports every problem in one list."""

from proxy.config.audio import Media
from proxy.config.keys import OnFailure
from proxy.config.load import load, local_address, parse, route_probe
from proxy.config.model import Agent, Number, Screening, Settings, Trunk
from proxy.config.problem import NoRoute, Problem, SettingsError
from proxy.config.server import Drain, Http, Limits, Listen, Log, Public
from proxy.config.values import Destination, PortRange, Source
from proxy.config.warning import warnings

__all__ = [
    "Agent",
    "Destination",
    "Drain",
    "Http",
    "Limits",
    "Listen",
    "Log",
    "Media",
    "NoRoute",
    "Number",
    "OnFailure",
    "PortRange",
    "Problem",
    "Public",
    "Screening",
    "Settings",
    "SettingsError",
    "Source",
    "Trunk",
    "load",
    "local_address",
    "parse",
    "route_probe",
    "warnings",
]
