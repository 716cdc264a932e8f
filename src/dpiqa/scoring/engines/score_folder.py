"""A folder of Parquet files with scores that many processes write, and its note of the model that they follow from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.dataset as pads
from pyarrow.fs import FileInfo, FileSystem, FileType

from ...models.image_urls import is_url

# What readers of Parquet folders pass over, because of the dot; `datasets` reads what begins with an underscore.
_NOTE = ".dpiqa.json"
_DONE = ".done"


@dataclass(frozen=True)
class RowCounts:
    """How many rows a folder has.

    Attributes:
        scored: Rows with a score.
        failed: Rows with an error.
    """

    scored: int = 0
    failed: int = 0


class ScoreFolder:
    """A local folder or a URL that pyarrow knows (`s3://`, `gs://`, ...), seen by all machines of the run.

    Args:
        place: Path or URL.

    Raises:
        ValueError: When no such file system is known, or there is a question mark in it.
    """

    def __init__(self, place: str):
        self.url = place if is_url(place) else os.path.abspath(place)
        if "?" in self.url:  # Ray writes there, and does not find again what it has written
            raise ValueError(f"cannot write to {self.url}: Ray needs a folder without a question mark in its name")
        try:
            self._system, self._path = FileSystem.from_uri(self.url)
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot write to {place}: expected a folder, s3:// or gs:// ({error})") from None

    @property
    def done(self) -> str:
        """Where Ray Data keeps the keys of the rows that are written."""
        return f"{self.url}/{_DONE}"

    def counts(self) -> RowCounts:
        """Counts its rows; reads only the errors."""
        rows = self._rows()
        if rows is None:
            return RowCounts()
        failed = rows.count_rows(filter=pads.field("error").is_valid())
        return RowCounts(rows.count_rows() - failed, failed)

    def read(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """These columns of its rows, in no order.

        Raises:
            ValueError: When it has no such column, or one of its files is damaged.
        """
        rows = self._rows()
        for batch in rows.to_batches(columns=list(columns)) if rows is not None else ():
            yield from batch.to_pylist()

    def begin(
        self,
        model: Mapping[str, str],
        *,
        resume: bool = False,
        overwrite: bool = False,
        inputs: Iterable[str] = (),
        carried: Iterable[str] = (),
    ) -> None:
        """Takes the folder for the rows of a model.

        Args:
            model: What the rows follow from; `fingerprint` must be the same to go on.
            resume: Whether rows that are there stay.
            overwrite: Whether they may be removed.
            inputs: Paths and URLs that the run reads.
            carried: Columns that the rows have beside those of all outputs; must be the same to go on.

        Raises:
            FileExistsError: When there are rows that must neither stay nor be removed, or files of somebody else.
            ValueError: When there are rows of another model or with other carried columns, or one of the inputs is in
                the folder.
            OSError: When it cannot be written to.
        """
        files = self._files()
        before = self._read_note() if files else None
        if files and before is None:
            raise FileExistsError(
                f"{self.url} has files that dpiqa did not write, such as {files[0].base_name}: name another folder"
            )
        if before is not None and not (resume or overwrite):
            raise FileExistsError(
                f"{self.url} has scores already: name another folder, go on with --resume, or allow them to be "
                "replaced with --overwrite"
            )
        if before is not None and resume and before.get("fingerprint") != model["fingerprint"]:
            raise ValueError(
                f"{self.url} has scores of {before.get('model', 'a model that is not known')}, and scores of two "
                "models cannot be mixed: name the same model, backend and dtype, or another folder"
            )
        note = {**model, "carried": sorted(carried)}
        if before is not None and resume and before.get("carried", []) != note["carried"]:
            columns, wanted = (", ".join(one) or "none" for one in (before.get("carried", []), note["carried"]))
            raise ValueError(
                f"{self.url} has rows with these carried columns: {columns}; this run would add: {wanted}. Carry the "
                "same ones, or name another folder"
            )
        read_from = {os.path.dirname(name): name for name in inputs} if files else {}
        if inside := next((name for folder, name in read_from.items() if self._holds(folder)), None):
            raise ValueError(f"{self.url} also holds one of the inputs, {inside}: name another folder")
        if before is not None and not resume:
            if strangers := [one.base_name for one in files if not _is_ours(one)]:
                raise FileExistsError(
                    f"{self.url} also has files that dpiqa did not write, such as {strangers[0]}: name another folder"
                )
            self._system.delete_dir_contents(self._path)
        self._system.create_dir(self._path, recursive=True)
        with self._system.open_output_stream(f"{self._path}/{_NOTE}") as file:
            file.write(json.dumps(note).encode())

    def _holds(self, folder: str) -> bool:
        """Whether a folder is this one or in it."""
        here, there = (one if is_url(one) else os.path.realpath(one) for one in (self.url, folder))
        return f"{there}/".startswith(f"{here.rstrip('/')}/")

    def _rows(self) -> pads.Dataset | None:
        if not any(info.base_name.endswith(".parquet") for info in self._files()):
            return None
        return pads.dataset(self._path, filesystem=self._system, format="parquet")

    def _files(self) -> list[Any]:
        from pyarrow.fs import FileSelector

        info = self._system.get_file_info(self._path)
        if info.type == FileType.File:
            raise FileExistsError(f"{self.url} is a file: name a folder")
        return self._system.get_file_info(FileSelector(self._path, allow_not_found=True))

    def _read_note(self) -> dict[str, Any] | None:
        try:
            with self._system.open_input_stream(f"{self._path}/{_NOTE}") as note:
                return json.loads(note.read())
        except (FileNotFoundError, ValueError):
            return None


def is_score_folder(place: str | os.PathLike[str]) -> bool:
    """Whether a path is that of an output, finished or not."""
    return os.path.isfile(os.path.join(place, _NOTE))


def _is_ours(one: FileInfo) -> bool:
    return one.base_name in (_NOTE, _DONE) or (one.type == FileType.File and one.base_name.endswith(".parquet"))


__all__ = ["RowCounts", "ScoreFolder", "is_score_folder"]
