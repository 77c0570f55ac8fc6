"""Locks between processes that survive what a notebook does to files, and checks of those files.

POSIX drops all record locks of a process on a file as soon as the process closes *any* descriptor
of that file, so ``shutil.copy("session.db", …)`` in a notebook releases SQLite's own locks
(https://www.sqlite.org/howtocorrupt.html, section 2.2). Two kinds of locks stay: `flock` on a file
that holds nothing else (`FileLock`), and Linux's open file description locks (`fcntl(2)`), which
belong to one open file and not to the process (`HeldOpen`).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib.util
import os
import struct
import sys
import time
import weakref
from collections.abc import Callable

# False on Windows and in a browser, where nothing drops SQLite's own locks
LOCKS = importlib.util.find_spec("fcntl") is not None
if LOCKS:
    import fcntl

SHARED_BYTES = 0x40000002, 510  # what every reader of a database file locks (os_unix.c)
IN_USE_BYTE = 128, 1  # what every process that uses a -shm file locks (os_unix.c)
FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, process
FIRST_PAUSE, LONGEST_PAUSE = 0.0002, 0.02
UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_open_here: weakref.WeakSet[FileLock | HeldOpen] = weakref.WeakSet()


class FileLock:
    """A lock on its own file, held by one process at a time or shared; nothing without `flock`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._useless = not LOCKS
        self.release: Callable[[], object] = nothing  # in C, so that no interrupt can split it
        self._open()

    def _open(self) -> None:
        if self._useless:
            return
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self.close()
        self._fd = fd
        self.release = functools.partial(fcntl.flock, self._fd, fcntl.LOCK_UN)
        _open_here.add(self)

    def acquire(self, *, shared: bool = False, patience: float = 0.0) -> bool:
        """Take the lock, waiting for `patience` seconds at most; return whether it is taken."""
        if self._useless:
            return True
        if self._fd < 0:
            raise OSError(errno.EBADF, "the lock is closed", self.path)
        kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        stop, pause = time.monotonic() + patience, FIRST_PAUSE
        while True:
            try:
                fcntl.flock(self._fd, kind)
                if is_at(self._fd, self.path):
                    return True
            except BlockingIOError:
                if time.monotonic() >= stop:
                    return False
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
                self._useless, self.release = True, nothing  # a network drive: SQLite's must do
                return True
            try:
                self._open()  # the file was removed meanwhile: others would lock another one
            except OSError:  # so was its folder, and there are no others
                return True

    def close(self) -> None:
        """Release the lock and close the file, which stays: the next process needs the same."""
        fd, self._fd = self._fd, -1
        self.release = nothing
        if fd >= 0:
            os.close(fd)

    __del__ = close  # an interrupt may have kept its owner from closing it


class HeldOpen:
    """Holds a database's files open, as SQLite deletes the write-ahead log when it is alone."""

    def __init__(self, path: str) -> None:
        self._files: dict[str, int] = {}
        self._path, self._size, self._frame = path, 0, 0
        if not LOCKS:
            return
        _open_here.add(self)
        logged = os.path.exists(path + "-wal")
        for ending, place in (("", SHARED_BYTES), ("-wal", None), ("-shm", IN_USE_BYTE)):
            if ending and not logged:
                break
            with contextlib.suppress(OSError):
                fd = self._files[path + ending] = os.open(path + ending, os.O_RDWR | os.O_CLOEXEC)
                if logged and place is not None:  # otherwise a writer needs those bytes for itself
                    _lock_bytes(fd, *place)
        page = int.from_bytes(self.read("", 16, 2), "big")
        self._frame = 24 + (65_536 if page == 1 else page)

    def missing(self) -> str:
        """Return a file that is not in its place any more, or was cut; or nothing."""
        for name, fd in self._files.items():
            if not is_at(fd, name):
                return name
        if self._path in self._files:
            before, self._size = self._size, os.fstat(self._files[self._path]).st_size
            if self._size < before:  # it only ever grows
                return self._path
        log = self._files.get(self._path + "-wal")
        if log is not None and os.fstat(log).st_size < self.frames * self._frame:
            return self._path + "-wal"
        return ""

    @property
    def frames(self) -> int:
        """How many frames of the write-ahead log are in use, by its index."""
        return int.from_bytes(self.read("-shm", 16, 4), sys.byteorder)

    def read(self, ending: str, offset: int, length: int) -> bytes:
        """Return some bytes of a file; none where it is not held open."""
        fd = self._files.get(self._path + ending)
        return b"" if fd is None else os.pread(fd, length, offset)

    def close(self) -> None:
        """Close the files; other processes may take them for unused."""
        while self._files:
            os.close(self._files.popitem()[1])

    __del__ = close

    def commits_behind(self) -> int:
        """Return how many commits the write-ahead log holds behind the frames SQLite has read.

        Frames of the present generation carry the salts of the header, older ones do not; the
        frame that ends a commit has the size of the database, others 0
        (https://www.sqlite.org/fileformat2.html#walformat, https://www.sqlite.org/walformat.html).

        Processes that are killed between writing a commit and its entry in the index leave one
        each. These do not continue each other's checksums, as commits behind a damaged place do:
        only those that continue are counted together.
        """
        header = self.read("-wal", 0, 32)
        if len(header) < 32:
            return 0
        size = 24 + int.from_bytes(header[8:12], "big")
        intact = header[24:] == _checksum(header[:24], bytes(8), header[3])
        salts = header[16:24] if intact else self.read("-wal", 40, 8)
        ends, place = [], 32 + self.frames * size
        while len(frame := self.read("-wal", place, 24)) == 24:
            if frame[8:16] == salts and frame[4:8] != bytes(4):
                ends.append(place)
            place += size
        most = together = 1
        for k in range(1, len(ends)):
            frames = range(ends[k - 1] + size, ends[k] + size, size)
            together = together + 1 if all(self._continues(at, size) for at in frames) else 1
            most = max(most, together)
        return most if ends else 0

    def _continues(self, place: int, size: int) -> bool:
        before, frame = self.read("-wal", place - size + 16, 8), self.read("-wal", place, size)
        kind = self.read("-wal", 3, 1)[0]
        return frame[16:24] == _checksum(frame[:8] + frame[24:], before, kind)


def _checksum(data: bytes, before: bytes, kind: int) -> bytes:
    # The kind is the last byte of the magic number
    order = ">" if kind & 1 else "<"
    one, two = struct.unpack(">2I", before)
    for first, second in struct.iter_unpack(f"{order}2I", data):
        one = (one + first + two) % 2**32
        two = (two + second + one) % 2**32
    return struct.pack(">2I", one, two)


def nothing() -> None:
    """Release what is not locked."""


def is_at(fd: int, path: str) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        there = os.stat(path)
    except OSError:
        return False
    return os.path.samestat(os.fstat(fd), there)


def _lock_bytes(fd: int, start: int, length: int) -> None:
    # A lock of this open file, on the systems that have such locks
    if sys.platform.startswith("linux") and struct.calcsize("P") == 8:
        with contextlib.suppress(OSError, AttributeError):
            words = fcntl.F_RDLCK, os.SEEK_SET, start, length, 0
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(FLOCK, *words))


def _close_in_child() -> None:  # it may outlive its parent, which keeps the locks
    for one in list(_open_here):
        one.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
