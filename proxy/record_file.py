"""The file that the records of calls are appended to: whole lines, or nothing; and how a caller leaves it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import IO

_TRIES = 3
"""To find the file of our name; some file systems number one file in two ways."""
_PATIENCE_S, _LOOK_S = 0.02, 0.001
"""How long who appends waits for who takes a caller out: calls wait as long."""
_ENDS = 4
"""Digits at the end of a number that no spelling of it leaves out."""


class RecordFile:
    """Open for appending, its folder made if need be; raises OSError. As much of a TextIO as is needed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = _opened(path, 0o600)
        self._asks = True
        """Whether others are asked before we append; not those who keep the file locked for themselves."""
        self._begun = False
        """Whether we have written to this file: what stands at its end is a whole line then."""

    def write(self, text: str, /) -> int:
        """Append all of it; where the disk is full, raise OSError and leave nothing of it behind.

        Where ours was moved away, or another has taken its place, it goes on in the one of that name. Half
        a line that a killed process, or a power failure, has left there is ended first.
        """
        # What is no UTF-8 on the wire stands as "\udcff" in the record, which is good JSON.
        octets = memoryview(text.encode("utf-8", "backslashreplace"))
        for _ in range(_TRIES):
            with self._held():
                if (there := _at(self._file, self._path)) is not None:
                    if not self._begun and not _ends_whole(self._path, there.st_size):
                        octets = memoryview(b"\n" + octets)
                    self._append(octets, there.st_size)
                    self._begun = True
                    return len(text)
            before, rights = self._file, os.fstat(self._file.fileno()).st_mode & 0o777
            self._file, self._asks, self._begun = _opened(self._path, rights), True, False
            before.close()
        self._append(octets, os.fstat(self._file.fileno()).st_size)
        return len(text)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Take no more."""
        self._file.close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """For us alone, if that can be had soon."""
        until = time.monotonic() + _PATIENCE_S
        while self._asks and not _lock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            self._asks = time.monotonic() < until
            time.sleep(_LOOK_S)
        try:
            yield
        finally:
            _lock(self._file, fcntl.LOCK_UN)

    def _append(self, left: memoryview, before: int) -> None:
        """`before`: the octets that are there, and stay."""
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError:
            if os.fstat(self._file.fileno()).st_size > before:
                self._file.truncate(before)
            raise


def _opened(path: Path, rights: int) -> FileIO:
    """That file, for appending; one that is new has these rights, for what it tells is nobody's business."""
    return FileIO(path, "ab", opener=lambda name, flags: os.open(name, flags, rights))


def _ends_whole(path: Path, size: int) -> bool:
    """Whether a line of that file is not half there; of one that may not be read, nobody knows."""
    if not size:
        return True
    try:
        with path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) in (b"\n", b"")
    except OSError:
        return True


def without_caller(
    path: Path, caller: str, alike: Callable[[str, str], bool] = lambda number, dialed: False
) -> int:
    """Put a file in its place that lacks the calls of this caller; returns how many those were.

    `alike`: whether he is the one whom a record has as caller, of the number that it has as dialed.
    Raises OSError, and all is as it was then. Who appends meanwhile goes on in the new file, and has waited
    only for what is written between two looks at the end of the old one.
    """
    path = Path(os.path.realpath(path))
    his = _lines_of(caller, alike)
    while path.is_file():
        with path.open("rb") as old, _beside(path) as new:
            with _locked(old):  # nobody is in the midst of a line
                end = os.fstat(old.fileno()).st_size
            gone = _copied(old, new, end, his)
            os.fsync(new.fileno())
            with _locked(old):
                if _at(old, path) is None:
                    continue  # somebody else was quicker
                gone += _copied(old, new, os.fstat(old.fileno()).st_size, his)
                if gone:
                    os.fsync(new.fileno())
                    with _locked(new):  # who finds it there waits for what came before
                        os.replace(new.name, path)
                        gone += _late(old, path, his)
                return gone
    return 0


def _copied(old: IO[bytes], new: IO[bytes], end: int, his: Callable[[bytes], bool]) -> int:
    """Copy the lines up to that place, but for the caller's; how many those were."""
    gone = 0
    while old.tell() < end and (line := old.readline()):
        if his(line):
            gone += 1
        else:
            new.write(line)
    new.flush()
    return gone


def _late(old: IO[bytes], path: Path, his: Callable[[bytes], bool]) -> int:
    """Copy what was appended to the old file since, by one for whom this took too long to wait for it."""
    with path.open("ab", buffering=0) as new:
        return _copied(old, new, os.fstat(old.fileno()).st_size, his)


def _lines_of(caller: str, alike: Callable[[str, str], bool]) -> Callable[[bytes], bool]:
    """Whether a line is the record of a call of his."""
    ends = json.dumps(caller[-_ENDS:], ensure_ascii=False).encode("utf-8", "backslashreplace")[1:]

    def his(line: bytes) -> bool:
        if ends not in line:  # most are none of his, and to read them takes much longer
            return False
        try:
            record = json.loads(line)
        except ValueError:
            return False
        if not isinstance(record, dict) or not isinstance(kept := record.get("caller"), str):
            return False
        return kept == caller or alike(kept, str(record.get("dialed")))

    return his


@contextmanager
def _beside(path: Path) -> Iterator[IO[bytes]]:
    """A new file in the same folder, of the same owner and rights, which goes unless it is given a name."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            like = path.stat()
            with suppress(PermissionError):
                os.fchown(new.fileno(), like.st_uid, like.st_gid)
            os.fchmod(new.fileno(), like.st_mode & 0o777)
            yield new
        finally:
            Path(new.name).unlink(missing_ok=True)


@contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    """For this one alone, among those who ask."""
    _lock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _lock(file, fcntl.LOCK_UN)


def _lock(file: IO[bytes], how: int) -> bool:
    """False if another has it; a file system without locks has none to wait for."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _at(file: IO[bytes], path: Path) -> os.stat_result | None:
    """What the file is, if it is the one of that name."""
    here = os.fstat(file.fileno())
    try:
        return here if os.path.samestat(here, os.stat(path)) else None
    except FileNotFoundError:
        return None
