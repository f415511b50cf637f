"""The JSON Lines file of call records: whole-line appends, and erasure of one caller's records."""

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
"""Attempts to open the file that the path names now; some file systems report varying inode numbers for one
file."""
_PATIENCE_S, _LOOK_S = 0.02, 0.001
"""How long an append waits for an erasure in progress (calls wait with it), and the polling interval."""
_ENDS = 4
"""The last digits of a number, which appear in every spelling of it."""


class RecordFile:
    """An append-only file with as much of TextIO as is needed; its folder is created. Raises OSError."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = _opened(path, 0o600)
        self._takes_lock = True
        """Whether appends take the lock; turned off when somebody holds it for too long."""
        self._has_appended = False
        """Whether we have appended to this file before, so that it is known to end with a whole line."""

    def write(self, text: str, /) -> int:
        """Append the text, or nothing: if the disk is full, raises OSError and truncates what was written.

        If the file was moved or replaced (rotated), the one that has its path now is opened. A partial line
        that a killed process or a power failure left at the end is terminated first.
        """
        # Invalid UTF-8 from the wire is a surrogate such as "\udcff" in the record; escaped so, it is valid
        # JSON.
        octets = memoryview(text.encode("utf-8", "backslashreplace"))
        for _ in range(_TRIES):
            with self._held():
                if (there := _at(self._file, self._path)) is not None:
                    if not self._has_appended and not _ends_whole(self._path, there.st_size):
                        octets = memoryview(b"\n" + octets)
                    self._append(octets, there.st_size)
                    self._has_appended = True
                    return len(text)
            before, rights = self._file, os.fstat(self._file.fileno()).st_mode & 0o777
            self._file, self._takes_lock, self._has_appended = _opened(self._path, rights), True, False
            before.close()
        self._append(octets, os.fstat(self._file.fileno()).st_size)
        return len(text)

    def flush(self) -> None:
        """Do nothing: writes are not buffered."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the lock on the file, or go on without it after `_PATIENCE_S`."""
        until = time.monotonic() + _PATIENCE_S
        while self._takes_lock and not _lock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            self._takes_lock = time.monotonic() < until
            time.sleep(_LOOK_S)
        try:
            yield
        finally:
            _lock(self._file, fcntl.LOCK_UN)

    def _append(self, left: memoryview, before: int) -> None:
        """Write all of `left`; on failure truncate the file to its former size `before`."""
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError:
            if os.fstat(self._file.fileno()).st_size > before:
                self._file.truncate(before)
            raise


def _opened(path: Path, rights: int) -> FileIO:
    """Open the file for appending, with mode `rights` if it is new: call records are private."""
    return FileIO(path, "ab", opener=lambda name, flags: os.open(name, flags, rights))


def _ends_whole(path: Path, size: int) -> bool:
    """Whether the file ends with a complete line; assumed if it may not be read."""
    if not size:
        return True
    try:
        with path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) in (b"\n", b"")
    except OSError:
        return True


def remove_caller(
    path: Path, caller: str, alike: Callable[[str, str], bool] = lambda number, dialed: False
) -> int:
    """Replace the file by one without this caller's records; returns how many were removed.

    `alike` decides whether a record's caller is the same person, given its `caller` and `dialed` numbers.
    Raises OSError and leaves the file as it was. Appends made meanwhile go to the new file; they are held up
    only while the end of the old one is copied.
    """
    path = Path(os.path.realpath(path))
    is_theirs = _record_matcher(caller, alike)
    while path.is_file():
        with path.open("rb") as old, _temporary_file(path) as new:
            with _locked(old):  # no append is half done
                end = os.fstat(old.fileno()).st_size
            gone = _copied(old, new, end, is_theirs)
            os.fsync(new.fileno())
            with _locked(old):
                if _at(old, path) is None:
                    continue  # replaced by somebody else meanwhile
                gone += _copied(old, new, os.fstat(old.fileno()).st_size, is_theirs)
                if gone:
                    os.fsync(new.fileno())
                    with _locked(new):  # whoever opens it now waits until the late lines are copied
                        os.replace(new.name, path)
                        gone += _copied_late(old, path, is_theirs)
                return gone
    return 0


def _copied(old: IO[bytes], new: IO[bytes], end: int, is_theirs: Callable[[bytes], bool]) -> int:
    """Copy lines up to offset `end`, except the caller's; returns how many were left out."""
    gone = 0
    while old.tell() < end and (line := old.readline()):
        if is_theirs(line):
            gone += 1
        else:
            new.write(line)
    new.flush()
    return gone


def _copied_late(old: IO[bytes], path: Path, is_theirs: Callable[[bytes], bool]) -> int:
    """Copy lines that a writer appended to the old file after giving up on the lock."""
    with path.open("ab", buffering=0) as new:
        return _copied(old, new, os.fstat(old.fileno()).st_size, is_theirs)


def _record_matcher(caller: str, alike: Callable[[str, str], bool]) -> Callable[[bytes], bool]:
    """Return a predicate that tells whether a line is the record of one of the caller's calls."""
    ends = json.dumps(caller[-_ENDS:], ensure_ascii=False).encode("utf-8", "backslashreplace")[1:]

    def is_theirs(line: bytes) -> bool:
        if ends not in line:  # the usual case, and far quicker than parsing the line
            return False
        try:
            record = json.loads(line)
        except ValueError:
            return False
        if not isinstance(record, dict) or not isinstance(kept := record.get("caller"), str):
            return False
        return kept == caller or alike(kept, str(record.get("dialed")))

    return is_theirs


@contextmanager
def _temporary_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a new temporary file in the same folder, with the same owner and mode; removed unless renamed."""
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
    """Hold an advisory lock on the file."""
    _lock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _lock(file, fcntl.LOCK_UN)


def _lock(file: IO[bytes], how: int) -> bool:
    """Take or release a lock; False if another process holds it. True if the file system has no locks."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _at(file: IO[bytes], path: Path) -> os.stat_result | None:
    """The file's status if it is still the file at that path, else None."""
    here = os.fstat(file.fileno())
    try:
        return here if os.path.samestat(here, os.stat(path)) else None
    except FileNotFoundError:
        return None
