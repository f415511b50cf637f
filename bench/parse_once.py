"""Run by either Python with WHOSE FILE: prints the CPU microseconds to parse and serialise a message."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROUNDS, SAMPLES = 3000, 7


def parser(whose: str) -> Callable[[bytes], bytes]:
    """Return a function that parses and serialises a message."""
    if whose == "screendoor":
        from proxy.sip.message import parse_message

        return lambda data: parse_message(data).encode()
    from sipmessage import Message

    return lambda data: bytes(Message.parse(data))


def main() -> None:
    data = Path(sys.argv[2]).read_bytes()
    again = parser(sys.argv[1])
    assert again(data).startswith(b"INVITE sip:inbound@")
    assert again(data).endswith(data[-200:])
    samples = []
    for _ in range(SAMPLES):
        start = time.process_time()
        for _ in range(ROUNDS):
            again(data)
        samples.append((time.process_time() - start) / ROUNDS * 1e6)
    print(median(samples))


main()
