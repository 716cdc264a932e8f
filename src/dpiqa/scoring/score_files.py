"""Files of scores that are valid at every moment, complete under their name, and can be resumed."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .checkpoint_source import read_json
from .rows import FORMATS, Row, RowFormat, remove_at_once


class TakesRows(Protocol):
    """Whatever rows are written to."""

    def write(self, row: Row) -> Any:
        """Takes a row."""


@dataclass(frozen=True)
class EarlierRows:
    """Rows of an earlier run, by their `path`.

    Attributes:
        done: How often each path is among them.
        failed: How often each is with an error.
    """

    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def num_done(self) -> int:
        """How many rows there are."""
        return self.done.total()

    @property
    def num_failed(self) -> int:
        """How many rows have an error."""
        return self.failed.total()


@dataclass(frozen=True)
class ScoreFile:
    """An open file of scores.

    Attributes:
        earlier: Rows that are in it from an earlier run; none unless that is resumed.
    """

    _rows: TakesRows
    earlier: EarlierRows = field(default_factory=EarlierRows)

    def write(self, row: Row) -> None:
        """Adds a row of [`dpiqa.scoring.rows.to_row`]."""
        self._rows.write(row)


def part_of(path: Path) -> Path:
    """Where a file is written before it is whole; for Parquet this is a folder."""
    return path.with_name(f"{path.name}.part")


def note_of(path: Path) -> Path:
    """The hidden file beside a finished file that says which model its rows are of."""
    return path.with_name(f".{path.name}.json")


def check_output(path: Path, *, overwrite: bool = False, resume: bool = False) -> None:
    """Checks whether [`open_writer`] would take a path, without writing anything.

    Raises:
        ValueError: When the suffix is none of .csv, .jsonl, .parquet.
        FileExistsError: When the file exists, or its part from a run that was cut off, and neither `overwrite` nor
            `resume` is set; or when it is a folder.
        FileNotFoundError: When the folder that it belongs to does not exist.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"cannot write {suffix or 'a file without suffix'}: expected {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder")
    if overwrite or resume:
        return
    if path.exists():
        raise FileExistsError(
            f"{path} exists already: name another file, allow it with --overwrite, or add to it with --resume"
        )
    if part_of(path).exists():
        raise FileExistsError(
            f"{part_of(path)} exists already, from a run that was cut off or is still going on: go on with it with "
            "--resume, or allow it to be replaced with --overwrite"
        )


@contextmanager
def open_writer(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    resume: bool = False,
    model: Mapping[str, str] | None = None,
) -> Iterator[ScoreFile]:
    """Writes rows to a file that appears under its name once it is whole.

    Until then, and for good when an exception or a signal ends it, the rows are beside it under a name that ends in
    `.part`: a CSV or JSON Lines file that is valid after every row, even when the process is killed; or a folder of
    Parquet files with 1,000 rows each. What the rows follow from is in a file that ends in `.part.json` and, once the
    file is whole, in a hidden one beside it, so that rows can be added.

    Args:
        path: Where to write; .csv, .jsonl or .parquet.
        overwrite: Whether a file that exists, or the beginning of one, may be replaced.
        resume: Whether to go on with the beginning of one, or add to one that is finished, if there is any.
        model: What the rows follow from; `fingerprint` must be the same to go on.

    Raises:
        ValueError: When the suffix is none of these, or what is there comes from another model, or from one that is
            not known.
        OSError: When it must not be overwritten (FileExistsError), another run writes it, or it cannot be written.
    """
    with (
        reserve(path, overwrite=overwrite, resume=resume) as reserved,
        reserved.writer(model) as file,
    ):
        yield file


@contextmanager
def reserve(path: str | os.PathLike[str], *, overwrite: bool = False, resume: bool = False) -> Iterator[Reserved]:
    """Takes a file for this run before it is known what will write it; see [`open_writer`].

    An exception before it writes leaves all as it was. A signal leaves a part without rows where an older file was to
    be replaced, so that this one is not taken for what the run wrote.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite, resume=resume)
    part = part_of(path)
    kind = FORMATS[path.suffix.lower()]
    with _alone(part.with_name(f"{part.name}.lock"), path):
        check_output(path, overwrite=overwrite, resume=resume)  # as another run may have ended just now
        if resume and part.exists():
            _check_folder(part)
            kind.repair(part)
            yield Reserved(path, _read(kind, part))
        elif resume and path.exists():
            yield Reserved(path, _read(kind, path), is_finished=True)
        else:
            reserved = Reserved(path, EarlierRows(), is_new=True)
            is_first = not part.exists()
            if is_first:
                kind.create(part)
            try:
                yield reserved
            except BaseException as error:
                if is_first and not reserved.is_written and (isinstance(error, Exception) or not path.exists()):
                    _remove(part)
                raise


@dataclass
class Reserved:
    """A file that this run alone may write.

    Attributes:
        path: Its name once it is whole.
        earlier: Rows of an earlier run, which stay.
        is_finished: Whether these are those of a finished file.
        is_new: Whether it is begun anew.
        is_written: Whether the run has begun to write it.
    """

    path: Path
    earlier: EarlierRows
    is_finished: bool = False
    is_new: bool = False
    is_written: bool = False

    @contextmanager
    def writer(self, model: Mapping[str, str] | None) -> Iterator[ScoreFile]:
        """Opens it for the rows of a model; see [`open_writer`]."""
        path, part, kind = self.path, part_of(self.path), FORMATS[self.path.suffix.lower()]
        note = part.with_name(f"{part.name}.json")
        if self.is_finished:
            _check_model(_note_of_finished(path), model, path)
        elif self.earlier.done:
            _check_model(_read_note(note), model, part)
        if self.is_new:  # before the note, which must never stand beside rows of another model
            _remove(part)
        if self.is_finished or not self.earlier.done:
            _write_note(note, model or {})
        if self.is_finished:
            kind.reopen(path, part)
        self.is_written = True
        rows = kind(part)
        try:
            yield ScoreFile(rows, self.earlier)
        finally:
            rows.close()
        whole = kind.whole(part)
        # Before the file has its name, so that it is never without its note; until then the part is gone on with.
        if model:
            _write_note(note_of(path), {**model, "sha256": _sha256(whole)})
        else:
            note_of(path).unlink(missing_ok=True)
        os.replace(whole, path)
        if part.is_dir():
            remove_at_once(part)
        note.unlink(missing_ok=True)


def _read(kind: type[RowFormat], place: Path) -> EarlierRows:
    earlier = EarlierRows()
    try:
        for row in kind.read(place):
            earlier.done[row["path"]] += 1
            if row["error"]:
                earlier.failed[row["path"]] += 1
    except (KeyError, TypeError, ValueError, RecursionError, csv.Error) as error:
        raise ValueError(f"{place} holds no rows of scores ({error}): begin anew with --overwrite") from None
    return earlier


def _remove(part: Path) -> None:
    """Removes what an earlier run has left, and never what somebody else put into a folder of this name."""
    if not part.is_dir():
        part.unlink(missing_ok=True)
        return
    _check_folder(part)
    shutil.rmtree(part)


def _check_folder(part: Path) -> None:
    """Refuses a folder with files that no run has left: it is removed once the rows are in their file."""
    if not part.is_dir():
        return
    others = [
        path.name for path in part.iterdir() if not re.fullmatch(r"\.?\d{9}\.parquet|\.whole\.parquet", path.name)
    ]
    if others:
        raise FileExistsError(f"{part} is a folder with other files, such as {others[0]}: move it away")


@contextmanager
def _alone(lock: Path, path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock.touch()  # a folder that cannot be written to says so here; FileLock would take it for another run's lock
    try:
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    except Timeout:
        raise FileExistsError(f"another run is writing {path} now: wait for it, or name another file") from None


def _check_model(before: Mapping[str, Any], model: Mapping[str, str] | None, place: Path) -> None:
    if not model or before.get("fingerprint") != model["fingerprint"]:
        was = before.get("model", "a model that is not known")
        raise ValueError(
            f"{place} has scores of {was}, and scores of two models cannot be mixed: name the same model, backend and "
            "dtype, or begin anew with --overwrite"
        )


def _note_of_finished(path: Path) -> dict[str, Any]:
    note = _read_note(note_of(path))
    if note.get("sha256") == _sha256(path):
        return note
    reason = "was changed since it was written" if note else f"is without {note_of(path).name} beside it"
    raise ValueError(
        f"{path} {reason}, so that no model is known to fit its scores and none can be added: begin anew with "
        "--overwrite, or name another file"
    )


def _read_note(note: Path) -> dict[str, Any]:
    try:
        return read_json(note)
    except OSError:
        return {}


def _write_note(note: Path, content: Mapping[str, str]) -> None:
    unfinished = note.with_name(f"{note.name}.new")
    unfinished.write_text(json.dumps(dict(content)), encoding="utf-8")
    os.replace(unfinished, note)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


__all__ = ["EarlierRows", "Reserved", "ScoreFile", "check_output", "open_writer", "part_of", "reserve"]
