"""How the journal is read and written: what Optuna does with a file, made cheap, and safe for whoever only looks."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import weakref
from collections.abc import Generator
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

SYNC_SECONDS = 0.1  # within which the disk is told to keep what was written: a call of 1 ms or more, for all at once


class Reader(JournalFileBackend):
    """Reads what there is and writes nothing; the lock that Optuna's own would take is never needed."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Refuse.

        Raises:
            PermissionError: always.
        """
        raise PermissionError("the journal of a run is written by its search only")


class Writer(JournalFileBackend):
    """Appends each trial at once and syncs in the background; of what was written it keeps nothing in memory.

    Optuna reads back what it wrote and holds every trial for ever, which costs half a millisecond and several kilobytes
    each; the search has them already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        weakref.finalize(self, os.close, self._file)  # also at the end of the process, when __del__ comes too late
        self._forgetting = False
        self._syncing = threading.Lock()
        self._timer: threading.Timer | None = None
        self._error: OSError | None = None
        super().__init__(str(path))

    def forget(self) -> None:
        """From now on read nothing: nobody asks a writer for trials."""
        self._forgetting = True

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield what is in the file, until told to forget."""
        if not self._forgetting:
            yield from super().read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write whole lines, or none of them.

        Raises:
            OSError: if they cannot be written, or the disk did not keep those before.
        """
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        fcntl.flock(self._file, fcntl.LOCK_EX)  # the kernel takes it back when its holder dies
        before = os.fstat(self._file).st_size
        try:
            while lines:
                lines = lines[os.write(self._file, lines) :]
        except OSError:
            os.ftruncate(self._file, before)
            raise
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        with self._syncing:
            if self._error is not None:
                raise self._error
            if self._timer is None:
                self._timer = threading.Timer(SYNC_SECONDS, self._sync)
                self._timer.daemon = True
                self._timer.start()

    def _sync(self) -> None:
        with self._syncing:
            self._timer = None
        try:
            os.fsync(self._file)
        except OSError as error:
            self._error = error
