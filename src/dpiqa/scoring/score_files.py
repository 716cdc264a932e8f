"""Files of scores: valid at every moment, whole under their name, and gone on with after a run was cut off."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .checkpoint_source import read_json
from .rows import FORMATS, Row


class TakesRows(Protocol):
    """Whatever rows are written to."""

    def write(self, row: Row) -> Any:
        """Takes a row."""


@dataclass(frozen=True)
class ScoreFile:
    """An open file of scores.

    Attributes:
        done: How often each `path` is in it from an earlier run; empty unless that is resumed.
        num_failed: How many rows of the earlier run have an error.
    """

    _rows: TakesRows
    done: Counter[str] = field(default_factory=Counter)
    num_failed: int = 0

    @property
    def num_done(self) -> int:
        """How many rows there are from the earlier run."""
        return self.done.total()

    def write(self, row: Row) -> None:
        """Adds a row of [`dpiqa.scoring.rows.to_row`]."""
        self._rows.write(row)


def part_of(path: Path) -> Path:
    """Where a file is written before it is whole; for Parquet this is a folder."""
    return path.with_name(f"{path.name}.part")


def check_output(path: Path, *, overwrite: bool = False, resume: bool = False) -> None:
    """Looks whether [`open_writer`] would take a path, without writing anything.

    Raises:
        ValueError: When the suffix is none of .csv, .jsonl, .parquet.
        FileExistsError: When the file exists, or the beginning of one from a run that was cut off, and it must be
            neither overwritten nor gone on with; or when it is a folder.
        FileNotFoundError: When the folder that it belongs to does not exist.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"cannot write {suffix or 'a file without suffix'}: expected {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder")
    if overwrite:
        return
    if path.exists() and not (resume and part_of(path).exists()):
        raise FileExistsError(f"{path} exists already: name another file, or allow it with --overwrite")
    if part_of(path).exists() and not resume:
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
    Parquet files with 1,000 rows each. What the rows follow from is in a file that ends in `.part.json`.

    Args:
        path: Where to write; .csv, .jsonl or .parquet.
        overwrite: Whether a file that exists, or the beginning of one, may be replaced.
        resume: Whether to go on with the beginning of one, if there is any.
        model: What the rows follow from; `fingerprint` must be the same to go on.

    Raises:
        ValueError: When the suffix is none of these, or the beginning comes from another model.
        OSError: When it must not be overwritten (FileExistsError), another run writes it, or it cannot be written.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite, resume=resume)
    part = part_of(path)
    note, lock = part.with_name(f"{part.name}.json"), part.with_name(f"{part.name}.lock")
    kind = FORMATS[path.suffix.lower()]
    with _alone(lock, path):
        check_output(path, overwrite=overwrite, resume=resume)  # as another run may have ended just now
        done: Counter[str] = Counter()
        num_failed = 0
        if resume and part.exists():
            _check_model(note, model, part)
            try:
                for row in kind.repair(part):
                    done[row["path"]] += 1
                    num_failed += bool(row["error"])
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{part} holds no rows of scores ({error}): begin anew with --overwrite") from None
        else:
            _remove(part)
            unfinished = note.with_name(f"{note.name}.new")
            unfinished.write_text(json.dumps(dict(model or {})), encoding="utf-8")
            os.replace(unfinished, note)
        rows = kind(part)
        try:
            yield ScoreFile(rows, done, num_failed)
        finally:
            rows.close()
        kind.finish(part, path)
        note.unlink()


def _remove(part: Path) -> None:
    """Removes what an earlier run has left, and never what somebody else put into a folder of this name."""
    if not part.is_dir():
        part.unlink(missing_ok=True)
        return
    others = [path.name for path in part.iterdir() if path.suffix != ".parquet"]
    if others:
        raise FileExistsError(f"{part} is a folder with other files, such as {others[0]}: move it away")
    shutil.rmtree(part)


@contextmanager
def _alone(lock: Path, path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    except Timeout:
        raise FileExistsError(f"another run is writing {path} now: wait for it, or name another file") from None


def _check_model(note: Path, model: Mapping[str, str] | None, part: Path) -> None:
    try:
        before = read_json(note)
    except OSError:
        before = {}
    if not model or before.get("fingerprint") != model["fingerprint"]:
        was = before.get("model", "a model that is not known")
        raise ValueError(
            f"{part} has scores of {was}, and scores of two models cannot be mixed: name the same model, backend and "
            "dtype, or begin anew with --overwrite"
        )


__all__ = ["ScoreFile", "check_output", "open_writer", "part_of"]
