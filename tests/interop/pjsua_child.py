"""Runs PJSIP in a process of its own: commands on stdin, events on stdout, in the format of `baresip_child`.

One thread does everything but the media, so PJSIP's callbacks run inside `libHandleEvents`.
"""

from __future__ import annotations

import json
import os
import select
import sys
from typing import Any, Final

import pjsua2 as pj  # type: ignore[import-untyped]

from tests.interop.baresip_child import LOUD, TONES, strength, tell

RATE: Final = 8000
SAMPLES: Final = 160
POLL_MS: Final = 10
SRTP: Final = {
    "off": pj.PJMEDIA_SRTP_DISABLED,
    "optional": pj.PJMEDIA_SRTP_OPTIONAL,
    "mandatory": pj.PJMEDIA_SRTP_MANDATORY,
}


class FrameSink(pj.AudioMediaPort):  # type: ignore[misc]
    """Queues the received audio frames."""

    def __init__(self) -> None:
        super().__init__()
        audio = pj.MediaFormatAudio()
        audio.init(pj.PJMEDIA_FORMAT_PCM, RATE, 1, 20000, 16)
        self.createPort("sink", audio)
        self.frames: list[bytes] = []

    def onFrameReceived(self, frame: Any) -> None:
        self.frames.append(bytes(frame.buf))


class Call(pj.Call):  # type: ignore[misc]
    """One call; reports the same events as baresip's."""

    def __init__(self, softphone: Softphone, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(softphone, call_id)
        self._softphone = softphone

    def onCallState(self, prm: Any) -> None:
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            tell("call_established")
        elif info.state == pj.PJSIP_INV_STATE_EARLY and info.role == pj.PJSIP_ROLE_UAC:
            tell("call_ringing")
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            tell("call_closed", text=f"{info.lastStatusCode} {info.lastReason}")
            self._softphone.over()

    def onCallMediaState(self, prm: Any) -> None:
        info = self.getInfo()
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                audio = self.getAudioMedia(index)
                self._softphone.voice.startTransmit(audio)
                audio.startTransmit(self._softphone.sink)
                tell("audio", protocol=self.getStreamInfo(index).proto)

    def onCallTransferStatus(self, prm: Any) -> None:
        tell("notified", status=prm.statusCode, final=bool(prm.finalNotify))
        prm.cont = True  # keep the subscription until the notifier ends it


class Softphone(pj.Account):  # type: ignore[misc]
    """One account with one call at a time; it sends its tone and reports the tones it receives."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.sink = FrameSink()
        self.voice = pj.ToneGenerator()
        self.voice.createToneGenerator(RATE, 1)
        tone = pj.ToneDesc()
        tone.freq1, tone.on_msec, tone.off_msec = settings["tone"], 1000, 0
        self.voice.play(pj.ToneDescVector([tone]), True)
        self._call: Call | None = None
        self._heard: dict[int, int] = {}
        account = pj.AccountConfig()
        account.idUri = f"<sip:{settings['user']}@127.0.0.1:{settings['port']}>"
        account.mediaConfig.srtpUse = SRTP[settings["srtp"]]
        account.mediaConfig.srtpSecureSignaling = 0
        if settings["suite"]:
            crypto = pj.SrtpCrypto()
            crypto.name = settings["suite"]
            account.mediaConfig.srtpOpt.cryptos = pj.SrtpCryptoVector([crypto])
        keyings = pj.IntVector()
        keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
        account.mediaConfig.srtpOpt.keyings = keyings
        account.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        account.mediaConfig.transportConfig.publicAddress = "127.0.0.1"
        account.mediaConfig.transportConfig.port = settings["rtp_port"]
        account.mediaConfig.transportConfig.portRange = 8
        self.create(account)

    def onIncomingCall(self, prm: Any) -> None:
        self._call = Call(self, prm.callId)
        tell("call_incoming")

    def over(self) -> None:
        self._call = None

    def listen(self) -> None:
        """Report every frame in which a tone was found."""
        while self.sink.frames:
            samples = memoryview(self.sink.frames.pop(0)).cast("h")
            for tone in TONES:
                if len(samples) and strength(tuple(samples), tone, RATE) > LOUD:
                    self._heard[tone] = self._heard.get(tone, 0) + 1
                    tell("heard", tone=tone, frames=self._heard[tone])

    def do(self, command: str, *words: str) -> None:
        """Run one command; its outcome is reported as events."""
        options = pj.CallOpParam(True)
        if command == "dial":
            self._call = Call(self)
            self._call.makeCall(words[0], options)
            return
        assert self._call is not None
        match command:
            case "answer":
                options.statusCode = 200
                self._call.answer(options)
            case "transfer":
                self._call.xfer(words[0], pj.CallOpParam())
            case "offer":
                self._call.reinvite(options)
            case "hangup":
                self._call.hangup(pj.CallOpParam())
        tell(f"did_{command}")


def endpoint(settings: dict[str, Any]) -> pj.Endpoint:
    """PJSIP, listening on `port` over UDP, and on the next port over TLS if it has certificates."""
    library = pj.Endpoint()
    library.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.medConfig.clockRate = config.medConfig.sndClockRate = RATE
    config.medConfig.noVad = True
    config.logConfig.consoleLevel = config.logConfig.level = 4
    config.logConfig.msgLogging = 1
    library.libInit(config)
    udp = pj.TransportConfig()
    udp.port, udp.boundAddress = settings["port"], "127.0.0.1"
    library.transportCreate(pj.PJSIP_TRANSPORT_UDP, udp)
    if settings["certificates"]:
        tls = pj.TransportConfig()
        tls.port, tls.boundAddress = settings["port"] + 1, "127.0.0.1"
        folder = settings["certificates"]
        tls.tlsConfig.certFile, tls.tlsConfig.privKeyFile = f"{folder}/fullchain.pem", f"{folder}/privkey.pem"
        tls.tlsConfig.CaListFile, tls.tlsConfig.verifyServer = f"{folder}/ca.pem", True
        library.transportCreate(pj.PJSIP_TRANSPORT_TLS, tls)
    library.libStart()
    library.audDevManager().setNullDev()
    for codec in library.codecEnum2():
        library.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCMU") else 0)
    return library


def main(settings: dict[str, Any]) -> None:
    library = endpoint(settings)
    softphone = Softphone(settings)
    tell("up")
    pending = b""
    while True:
        library.libHandleEvents(POLL_MS)
        softphone.listen()
        if not select.select([sys.stdin], [], [], 0)[0]:
            continue
        said = os.read(sys.stdin.fileno(), 65536)
        if not said:
            break
        *lines, pending = (pending + said).split(b"\n")
        for line in lines:
            try:
                softphone.do(*json.loads(line))
            except pj.Error as error:
                tell("failed", text=error.info())
    os._exit(0)  # skips the destructors: PJSIP's and Python's run in conflicting orders


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
