"""tcpdump reads our pcapng files as the traffic that was captured."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from proxy.observe.pcapng import MAX_OCTETS, pcapng
from proxy.observe.trace import TracedMessage

AT = 1795338000.25
HERE, THERE = ("203.0.113.10", 5061), ("192.0.2.112", 5060)
HERE6, THERE6 = ("2001:db8::1", 5060), ("fe80::2%eth0", 5060)
OPTIONS = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"


def seen(
    sent: bool, local: tuple[str, int], remote: tuple[str, int], octets: bytes = OPTIONS
) -> TracedMessage:
    return TracedMessage(AT, "agent", sent, "tls", local, remote, octets)


def read(folder: Path, *messages: TracedMessage) -> list[str]:
    """tcpdump's output for each packet, with checksums verified."""
    file = folder / "call.pcapng"
    file.write_bytes(pcapng(messages))
    command = ["tcpdump", "-nn", "-vv", "-tt", "-r", str(file)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return ["".join(packet) for packet in packets(told.splitlines())]


def packets(lines: list[str]) -> list[list[str]]:
    found: list[list[str]] = []
    for line in lines:
        if line[0].isspace():
            found[-1].append(line)
        else:
            found.append([line])
    return found


def test_tcpdump_reads_addresses_time_payload_and_valid_checksums(tmp_path: Path) -> None:
    sent, received = read(tmp_path, seen(True, HERE, THERE), seen(False, HERE, THERE))
    assert sent.startswith("1795338000.250000 IP ")
    assert "203.0.113.10.5061 > 192.0.2.112.5060: [udp sum ok] SIP" in sent
    assert "OPTIONS sip:a@b SIP/2.0" in sent
    assert "192.0.2.112.5060 > 203.0.113.10.5061: [udp sum ok] SIP" in received
    assert "bad cksum" not in sent + received


def test_ipv6_packets_are_valid_and_a_mixed_pair_uses_a_mapped_address(tmp_path: Path) -> None:
    both, mixed = read(tmp_path, seen(True, HERE6, THERE6), seen(False, ("::", 5060), THERE))
    assert "IP6 " in both
    assert "2001:db8::1.5060 > fe80::2.5060: [udp sum ok] SIP" in both
    assert "::ffff:192.0.2.112.5060 > ::.5060: [udp sum ok] SIP" in mixed


@pytest.mark.parametrize("length", [len(OPTIONS) + 1, MAX_OCTETS, MAX_OCTETS + 1])
def test_a_message_of_any_length_is_one_packet_cut_at_the_limit(tmp_path: Path, length: int) -> None:
    first, second = read(tmp_path, seen(True, HERE, THERE, OPTIONS.ljust(length)), seen(True, HERE, THERE))
    assert f"length {20 + 8 + min(length, MAX_OCTETS)})" in first
    assert "[udp sum ok]" in first
    assert "OPTIONS sip:a@b" in second


def test_the_packet_comment_names_the_leg_and_the_real_transport() -> None:
    assert pcapng([seen(True, HERE, THERE)]).count(b"agent, by TLS") == 1
