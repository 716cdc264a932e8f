"""`dpiqa score hf://datasets/ORG/NAME`."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from ..counting import counted
from .score_output import (
    CountedRows,
    one_sentence,
    reserved_output,
    row_writer,
    status_of,
    stop,
    summary_of,
    with_progress,
)
from .terminal import sentence, visible, wrong_usage

if TYPE_CHECKING:
    from ..scoring.hub_photos import HubPhoto, HubPhotos
    from ..scoring.score_files import EarlierRows
    from ..scoring.scorer import Scorer

    Row = dict[str, Any]


def open_hub_photos(inputs: list[str], of_files: Mapping[str, Any], **options: str | None) -> HubPhotos | None:
    """The photos of the Hub data set that the inputs name, or None when they name none.

    Args:
        inputs: As on the command line.
        of_files: Options that a data set cannot have, and what they were given; None where they were not.
        **options: `split`, `subset` and `image_column`.
    """
    from ..scoring.hub_photos import HubDatasetError, HubPhotos, is_hub_dataset

    if not any(map(is_hub_dataset, inputs)):
        given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
        if given:
            others = " or for --engine ray" if given[0] == "--image-column" else ""
            message = f"is for a data set on the Hub (hf://datasets/ORG/NAME){others}"
            raise typer.BadParameter(message, param_hint=given[0])
        return None
    if len(inputs) > 1:
        raise typer.BadParameter("a data set on the Hub is scored by itself: name nothing else", param_hint="INPUTS")
    for option, value in of_files.items():
        if value is not None:
            raise typer.BadParameter("is for files only, not for a data set on the Hub", param_hint=option)
    try:
        return HubPhotos(inputs[0], **options)
    except HubDatasetError as error:
        raise typer.BadParameter(sentence(error), param_hint="INPUTS") from None


def score_hub(
    photos: HubPhotos,
    load: Callable[[], Scorer],
    output: Path | None,
    *,
    overwrite: bool,
    resume: bool,
    sort: bool,
    strict: bool,
) -> NoReturn:
    """Scores a data set and ends the command.

    A data set that cannot be read to its end leaves the rows until then, with which `--resume` goes on.
    """
    from ..scoring.hub_photos import HubDatasetError
    from ..scoring.score_files import check_output

    if output is not None:
        with wrong_usage("--output"):
            check_output(output, overwrite=overwrite, resume=resume)
    with one_sentence(output), reserved_output(output, overwrite, resume) as reserved:
        new = _NewPhotos(photos, reserved.earlier)
        try:
            first = list(islice(new, 1))  # before the model is loaded, which nothing may need
            if not first and new.failure is not None:
                raise new.failure
            if not first and reserved.is_finished:
                print(f"{visible(str(output))} is finished: every photo has a row", file=sys.stderr)
                raise typer.Exit(status_of(0, 0, reserved.earlier, strict))
            scorer = load()
            total = None if photos.total is None else photos.total - reserved.earlier.num_done
            with (
                row_writer(output, reserved, scorer) as file,
                closing(_score(scorer, chain(first, new), total)) as scored,
            ):
                rows = CountedRows(scored, sort)
                for row in rows:
                    file.write(row)
                if new.failure is not None:
                    sys.stdout.flush()
                    raise new.failure
        except HubDatasetError as error:
            stop(sentence(error), 1, output)
    parts = summary_of(rows, reserved.earlier, scorer)
    parts += [f"{counted(new.strangers, 'row')} of photos that the data set does not have"] if new.strangers else []
    parts += [f"written to {visible(str(output))}"] if output else []
    print(", ".join(parts), file=sys.stderr)
    raise typer.Exit(status_of(rows.scored, rows.failed, reserved.earlier, strict))


class _NewPhotos:
    """Photos without a row of an earlier run, one after the other.

    Attributes:
        failure: Why they ended too early; it is kept here, so that the photos until then get their rows.
    """

    def __init__(self, photos: Iterable[HubPhoto], earlier: EarlierRows):
        self._photos = iter(photos)
        self._left = Counter(earlier.done)
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[HubPhoto]:
        return self

    def __next__(self) -> HubPhoto:
        from ..scoring.hub_photos import HubDatasetError
        from ..scoring.rows import as_text

        try:
            for photo in self._photos:
                name = as_text(photo.name)
                if not self._left[name]:
                    return photo
                self._left[name] -= 1
        except HubDatasetError as error:
            self.failure = error
        raise StopIteration

    @property
    def strangers(self) -> int:
        """Rows of photos that did not come."""
        return self._left.total()


def _score(scorer: Scorer, photos: Iterable[HubPhoto], total: int | None) -> Generator[Row]:
    from ..scoring.rows import to_row

    names: deque[str] = deque()

    def images() -> Iterator[Any]:
        for photo in photos:
            names.append(photo.name)
            yield photo.image

    with closing(scorer.stream(images())) as results, closing(with_progress(results, total)) as shown:
        for result in shown:
            yield to_row(names.popleft(), result)
