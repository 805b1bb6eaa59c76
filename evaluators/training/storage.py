"""Where trainings keep their checkpoints: a folder of this machine or a shared one, or a URL such as s3://bucket/path."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from searchspaces import NasError

_LAST = ("state.json", "metrics.json")  # name what else has to be there, so they are copied after it


def require_writable(storage: str) -> None:
    """Check that a file can be written, by writing one and removing it.

    Raises:
        NasError: if it cannot, with the reason.
    """
    try:
        if _is_url(storage):
            files, path = _open(storage)
            files.create_dir(path, recursive=True)
            probe = f"{path}/.probe-{uuid4().hex}"
            with files.open_output_stream(probe) as stream:
                stream.write(b"x")
            files.delete_file(probe)
        else:
            Path(storage).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=storage):
                pass
    except OSError as error:
        raise NasError(f"storage={storage!r} cannot be written: {error.strerror or error}") from error


@contextmanager
def folder_in(storage: str, name: str) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a folder to work in, with what the storage has under `name`, and a call that brings it back there.

    Of a path the folder is the very one and the call does nothing; of a URL it is a copy, brought back at the end too.

    Raises:
        NasError: if the storage cannot be read or written.
    """
    if not _is_url(storage):
        yield Path(storage) / name, lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="nas-training-") as temporary:
        local = Path(temporary) / name
        files, path = _open(storage)
        there = f"{path}/{name}"
        try:
            _download(files, there, local)
            yield local, lambda: _upload(files, there, local)
            _upload(files, there, local)
        except OSError as error:
            raise NasError(f"storage={storage!r}: {error.strerror or error}") from error


def _is_url(storage: str) -> bool:
    return "://" in storage


def _open(storage: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it."""
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    try:
        return FileSystem.from_uri(storage)
    except ArrowInvalid:  # none of Arrow's own
        import fsspec

        try:
            files, path = fsspec.core.url_to_fs(storage)
        except (ImportError, ValueError) as error:
            raise NasError(f"storage={storage!r} cannot be opened: {error}") from error
        return PyFileSystem(FSSpecHandler(files)), path


def _download(files: Any, there: str, local: Path) -> None:
    from pyarrow.fs import FileType, LocalFileSystem, copy_files

    local.mkdir(parents=True)
    if files.get_file_info(there).type == FileType.Directory:
        here = LocalFileSystem()
        copy_files(there, str(local), source_filesystem=files, destination_filesystem=here)


def _upload(files: Any, there: str, local: Path) -> None:
    """Copy what is here, what names other files last; then remove there what is no longer here."""
    from pyarrow.fs import FileSelector, FileType

    mine = {file.relative_to(local).as_posix(): file for file in local.rglob("*") if file.is_file()}
    for name in sorted(mine, key=lambda name: (Path(name).name in _LAST, name)):
        target = f"{there}/{name}"
        files.create_dir(target.rpartition("/")[0], recursive=True)
        with files.open_output_stream(target) as stream:
            stream.write(mine[name].read_bytes())
    for info in files.get_file_info(FileSelector(there, recursive=True)):
        if info.type == FileType.File and info.path.split(f"{there}/", 1)[-1] not in mine:
            files.delete_file(info.path)
