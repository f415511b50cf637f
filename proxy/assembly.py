"""Converts the settings into the configuration objects of each part of the edge."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from ipaddress import ip_address

from proxy.call.admission import SCANNERS, Admission, BanPolicy
from proxy.call.attestation import PeerTrust
from proxy.call.capacity import Capacity, Limit
from proxy.call.challenge import KEYS, ChallengeSettings
from proxy.call.identity_profile import IdentityProfile
from proxy.call.outcome import OnFailure
from proxy.call.phrases import phrases_for
from proxy.call.probe import ProbedPeer
from proxy.call.routing import Agent, Confirmation, Destination, Number, Routing, Trunk
from proxy.call.sound import EarlyMedia, Sound
from proxy.call.voicemail import VoicemailSettings
from proxy.config import Settings, model
from proxy.config.numbers import country_of, is_emergency, regions_of
from proxy.config.values import Destination as Place
from proxy.config.warning import of_this_machine
from proxy.media.interface import Sounds
from proxy.media.sdes import SrtpPolicy
from proxy.media.tones import tones_of
from proxy.network_setup import profile_of
from proxy.sip.digest import DigestClient
from proxy.sip.digest_server import DigestServer
from proxy.sip.uri import Uri
from proxy.transport.flow import Flow, bracketed
from proxy.transport.identity import numeric
from proxy.transport.resolver import unbracketed
from proxy.ua.advertised import Advertised
from proxy.ua.challenger import Challenger
from proxy.ua.core import UserAgentCore
from proxy.ua.digest_trunks import DigestTrunks
from proxy.ua.ids import Ids
from proxy.ua.private_peers import PrivatePeers
from proxy.ua.registrar import Phone, Registrar
from proxy.ua.registration import Account, Registration


def sources(trunk: model.Trunk) -> list[str]:
    """The sources of a trunk's requests, its outbound proxy and registrar included."""
    out = [unbracketed(trunk.outbound.host)] if trunk.outbound is not None else []
    registrar = [unbracketed(trunk.registrar.host)] if trunk.register_ and trunk.registrar is not None else []
    return [*map(str, trunk.sources), *out, *registrar]


def registrar(settings: Settings, core: UserAgentCore, gate: Admission) -> Registrar:
    """Build the registrar for phones, and admit phones and trunks that authenticate by digest."""
    challenger = Challenger(core, gate, DigestServer(settings.public.host, secrets.token_bytes(32)))
    phones = [Phone(each.name, each.password.get_secret_value(), each.sources) for each in settings.phones]
    registrar = Registrar(gate, challenger, phones, core.needs, core.authenticated_peers.trunk)
    if phones:
        core.authenticated_peers.add(registrar)
    accounts = {
        trunk.inbound_username: (trunk.name, trunk.inbound_password.get_secret_value())
        for trunk in settings.trunks
        if trunk.inbound_username is not None and trunk.inbound_password is not None
    }
    if accounts:
        core.authenticated_peers.add(DigestTrunks(gate, challenger, accounts))
    gate.usernames = tuple(name.encode() for name in [*(phone.name for phone in phones), *accounts])
    return registrar


def registrations(
    settings: Settings,
    core: UserAgentCore,
    changed: Callable[[str, bool], None],
    wall_clock: Callable[[], float],
) -> Sequence[Registration]:
    """Our registrations with trunks. Requests over the flow of a registration are admitted as the trunk's."""
    found = []
    for trunk in settings.trunks:
        if trunk.register_:
            where = trunk.registrar or trunk.outbound
            assert where is not None
            assert trunk.username is not None
            assert trunk.password is not None
            password = trunk.password.get_secret_value()
            account = Account(
                trunk.name, str(where), trunk.username, password, trunk.register_expires_s, profile_of(trunk)
            )
            found.append(Registration(core, account, changed=changed, wall_clock=wall_clock))
            core.authenticated_peers.add(found[-1])
    return found


def routing(settings: Settings) -> Routing:
    """The numbers that are answered here, each with its destinations."""
    trunks = {trunk.name: _trunk(trunk) for trunk in settings.trunks}
    ours = [number.dialed for number in settings.numbers]
    shown = [trunk.caller_id or "" for trunk in settings.trunks]
    places = [place.number or "" for number in settings.numbers for place in number.destinations]
    regions = regions_of([*ours, *shown, *places])
    numbers = [_number(settings, number, trunks) for number in settings.numbers]
    return Routing(numbers, lambda user: is_emergency(user, regions))


def _trunk(trunk: model.Trunk) -> Trunk:
    password = trunk.password.get_secret_value() if trunk.password else None
    outbound = str(trunk.outbound) if trunk.outbound is not None else None
    identity = IdentityProfile(trunk.identity)
    terms, srtp = profile_of(trunk), SrtpPolicy(trunk.srtp)
    return Trunk(trunk.name, outbound, trunk.username, password, trunk.caller_id, terms, identity, srtp)


def srtp_policy_of(settings: Settings) -> Callable[[str], SrtpPolicy]:
    """Return a function that gives the SRTP policy for callers from a trunk, by its name."""
    policies = {trunk.name: SrtpPolicy(trunk.srtp) for trunk in settings.trunks}
    return lambda trunk: policies.get(trunk, SrtpPolicy.ACCEPT)


def credentials(settings: Settings) -> Callable[[str], DigestClient | None]:
    """Return a function that makes the digest client for a call from a trunk: nonces are counted per call."""
    accounts = {trunk.name: _trunk(trunk) for trunk in settings.trunks}
    return lambda trunk: accounts[trunk].credentials() if trunk in accounts else None


def trust_of(
    settings: Settings,
    admission: Admission,
    registrations: Sequence[Registration],
    proved: Callable[[Flow], str | None],
) -> Callable[[Flow], PeerTrust]:
    """Return a function that tells how far a peer's assertion of the caller's identity is trusted.

    Trusted are trunks known by their address or certificate, and those that we are registered with (RFC 3325
    §2.3); not those that have only `proved` a password.
    """
    told_of = {trunk.name: trunk.verification for trunk in settings.trunks}
    believed = {trunk.name for trunk in settings.trunks if trunk.trust_identity}
    registered = [each for each in registrations if each.account.trunk in believed]

    @cache  # there are few trunks
    def of(trunk: str, trusted: bool) -> PeerTrust:
        verification = told_of.get(trunk, "off")
        headers = trusted and verification in ("headers", "both")
        return PeerTrust(trunk, trusted, headers, verification in ("identity", "both"))

    def trust(flow: Flow) -> PeerTrust:
        if (source := admission.source(flow)) is not None:
            return of(source.trunk, source.trunk in believed)
        return of(proved(flow) or "", any(each.knows(flow) for each in registered))

    return trust


def _number(settings: Settings, number: model.Number, trunks: Mapping[str, Trunk]) -> Number:
    screening = settings.screening_of(number)
    agents = [
        Agent(each.name, str(each.sip), profile_of(each), SrtpPolicy(each.srtp))
        for each in settings.agents_of(number)
    ]
    return Number(
        number.dialed,
        tuple(_destination(settings, place, trunks, number) for place in number.destinations),
        agents[0] if agents else None,
        number.ring_limit_s,
        OnFailure(screening.on_failure),
        VoicemailSettings(
            screening.voicemail_limit_s,
            screening.voicemail_silence_s,
            screening.voicemail_least_s,
            screening.voicemail_greeting,
        ),
        settings.limits.calls_per_destination_per_hour
        if number.calls_per_destination_per_hour is None
        else number.calls_per_destination_per_hour,
        at_once=number.ring == "at once",
        record=screening.record == "on",
        announcement=screening.announcement if screening.record_announced else None,
        language=settings.speech.language,
        confirm_limit_s=number.confirm_limit_s,
        sound=sound(settings, number),
        challenge=ChallengeSettings(
            screening.challenge_tries, screening.challenge_limit_s, screening.challenge_failed == "reject"
        ),
        whisper_keys=screening.whisper_keys == "on",
        reject_card=screening.reject_card,
        backups=tuple(agents[1:]),
    )


def challenge_prompts(settings: Settings) -> set[str]:
    """All prompts for challenged callers (press a key); empty if no caller is ever challenged."""
    asked = ("gate", "on_failure", "anonymous", "international", "out_of_hours", "untrusted")
    screenings = [settings.screening_of(number) for number in settings.numbers]
    if not any(getattr(screening, key) == "challenge" for screening in screenings for key in asked):
        return set()
    phrases = phrases_for(settings.speech.language)
    return {phrases.challenge(key, again=again) for key in KEYS for again in (False, True)} | {
        phrases.goodbye
    }


def sound(settings: Settings, number: model.Number) -> Sound:
    """The tones and prompts for callers of a number."""
    prompts, asked = settings.prompts_of(number), number.tones or settings.media.tones
    tones = tones_of(_tone_country(settings, number) if asked == "auto" else asked)
    tones.make()
    early = number.early_media or settings.media.early_media
    return Sound(
        Sounds(tones, prompts.hold_music), prompts.voicemail_greeting, prompts.unavailable, EarlyMedia(early)
    )


def _tone_country(settings: Settings, number: model.Number) -> str:
    """The country of the dialed number; for "*", that of its first destination or trunk with a number."""
    trunks = [trunk.caller_id for trunk in settings.trunks]
    numbers = [number.dialed, *(place.number for place in number.destinations), *trunks]
    return next((country for each in numbers if (country := country_of(each))), "us")


def _destination(
    settings: Settings, place: Place, trunks: Mapping[str, Trunk], number: model.Number
) -> Destination:
    by = settings.trunk_of(place)
    if by is None:
        assert place.uri is not None
        asks = Confirmation(number.confirm or Confirmation.UNSCREENED)
        srtp = next((SrtpPolicy(each.srtp) for each in settings.phones if each.name == place.phone), None)
        srtp = srtp or SrtpPolicy.ACCEPT
        return Destination(
            str(place.uri), place.number, phone=place.phone, srtp=srtp, confirm=asks, name=place.name
        )
    trunk = trunks[by.name]
    assert trunk.outbound is not None
    assert place.number is not None
    base = Uri.parse(trunk.outbound)
    uri = Uri(base.scheme, place.number, None, base.host, base.port, base.params, "")
    profile = IdentityProfile(number.identity) if number.identity else None
    # A carrier's voicemail answers as a person does: without a key press it would get the caller.
    asks = Confirmation(number.confirm or Confirmation.PRESS_1)
    return Destination(str(uri), place.number, trunk, identity=profile, confirm=asks, name=place.name)


def advertised(settings: Settings) -> Advertised:
    """The host that peers reach us at. A name serves all peers; an address only those of its IP version."""
    public = settings.public
    host, six = bracketed(public.host), bracketed(public.address6) if public.address6 else None
    if host.startswith("[") and ":" not in public.address:
        return Advertised(public.address, host6=host, private_peers=_private_peers(public.address))
    six = six if _is_address(public.host) else None
    return Advertised(host, host6=six, private_peers=_private_peers(public.address))


def _private_peers(public: str) -> PrivatePeers | None:
    """Detects peers in our private network; None if this machine itself has the public address."""
    own = ip_address(public).is_global and of_this_machine(public)
    return None if own or ":" in public else PrivatePeers()


def media_addresses(settings: Settings) -> list[tuple[str, str]]:
    """The addresses for audio, local and public, for each IP version that we have."""
    public, media = settings.public, settings.media
    main = (media.bind if (":" in media.bind) == (":" in public.address) else media.bind6, public.address)
    return [main, (media.bind6, public.address6)] if public.address6 else [main]


def _is_address(host: str) -> bool:
    return numeric(host) is not None


def probe_targets(settings: Settings) -> list[ProbedPeer]:
    """The trunks and agents that are probed by OPTIONS."""
    trunks = [
        (f"trunk:{each.name}", each.outbound, each.probe_s, profile_of(each)) for each in settings.trunks
    ]
    agents = [(f"agent:{each.name}", each.sip, each.probe_s, profile_of(each)) for each in settings.agents]
    asked = [*trunks, *agents]
    return [
        ProbedPeer(name, str(uri), every, profile) for name, uri, every, profile in asked if uri and every
    ]


def ban_policy(settings: Settings) -> BanPolicy:
    """The rules for banning strangers."""
    limits = settings.limits
    scanners = SCANNERS if limits.scanners is None else tuple(name.lower() for name in limits.scanners)
    return BanPolicy(limits.ban_after, limits.ban_s, scanners)


def capacity(
    settings: Settings,
    trunk_of: Callable[[Flow], str | None],
    overload: Callable[[], str | None],
    ids: Ids,
) -> Capacity:
    """The limits on concurrent calls and on calls per second."""
    limits = settings.limits
    return Capacity(
        lambda: asyncio.get_running_loop().time(),
        ids.uniform,
        overall=Limit(limits.calls, limits.calls_per_s),
        trunks={
            one.name: Limit(one.calls or limits.trunk_calls, one.calls_per_s or limits.trunk_calls_per_s)
            for one in settings.trunks
        },
        numbers={
            one.dialed: Limit(one.calls or limits.number_calls, one.calls_per_s or limits.number_calls_per_s)
            for one in settings.numbers
        },
        trunk_of=trunk_of,
        overload=overload,
    )
