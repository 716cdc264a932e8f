"""`dpiqa score`."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from ..counting import counted
from .commands import discard_stdout, stopped_in_order
from .load import find_photos, load_scorer, skipped
from .score_ray import check_engine, score_ray
from .terminal import print_table, sentence, visible, wrong_usage

if TYPE_CHECKING:
    from ..scoring.image_files import FoundImages
    from ..scoring.score import Score
    from ..scoring.score_files import EarlierRows, Reserved, ScoreFile
    from ..scoring.scorer import Scorer

    Row = dict[str, Any]


def score(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUTS", help="Photos, folders or patterns; - reads a list of paths from stdin."),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a student or a teacher.", show_default="the bundled student"),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            envvar="DPIQA_BACKEND",
            help="torch, onnx or openvino; auto is the fastest that is installed and agrees with torch. The "
            "first run with onnx or openvino takes half a minute longer, to export the model.",
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto (cuda, mps, cpu), or a torch device.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            help="Photos per forward pass; scores do not depend on it.",
            show_default="1 on a CPU; else 16, or 4 for a teacher",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Photos opened and scored at the same time.", show_default="one per core"),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="A .csv, .jsonl or .parquet file; with ray, a folder or s3:// or gs://."),
    ] = None,
    maps: Annotated[Path | None, typer.Option(help="Folder for quality maps laid over the photos, as PNG.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Keep the rows of --output, and score only photos without one."),
    ] = False,
    sort: Annotated[bool, typer.Option("--sort", help="Best photo first, errors last.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 when a photo has no score, or a map is not written.")
    ] = False,
    engine: Annotated[
        str,
        typer.Option(
            help="local, or ray for all cores of a machine or a cluster. INPUTS can then be Parquet files, WebDataset "
            "tars and URLs too, and --workers are processes.",
        ),
    ] = "local",
    image_column: Annotated[
        str | None,
        typer.Option(
            help="With ray: the column of Parquet files with photos, paths or URLs, or the suffix in tars.",
            show_default="image; in tars all photos",
        ),
    ] = None,
    carry: Annotated[
        list[str] | None, typer.Option(help="With ray: a column, or a suffix in tars, to take along into the rows.")
    ] = None,
) -> None:
    """Score photos: higher is better, 0 to 1 on the scale of human opinion scores.

    It prints a table on a terminal and CSV in a pipe, or writes a file with --output. Photos that cannot be scored
    become rows with an error.
    """
    check_engine(
        engine, ray={"--image-column": image_column, "--carry": carry}, local={"--maps": maps, "--sort": sort}
    )
    if engine == "ray":
        load = {"backend": backend, "device": device, "dtype": dtype, "batch_size": batch_size}
        score_ray(inputs, output, model, load, image_column, carry or [], workers, overwrite, resume, strict)
    path = None if output is None else Path(output)
    found = find_photos(inputs, "INPUTS")
    if resume and output is None:
        raise typer.BadParameter("name the file to go on with: --output FILE", param_hint="--resume")
    if resume and (sort or overwrite):
        raise typer.BadParameter(
            f"cannot be combined with {'--sort' if sort else '--overwrite'}", param_hint="--resume"
        )
    if path is not None:
        _check_output(path, found, overwrite, resume, reads_stdin="-" in inputs)
    with _one_sentence(path), _reserved(path, overwrite, resume) as reserved:
        work = _to_do(found, reserved.earlier, maps)
        if reserved.is_finished and not work:
            _say_finished(reserved, found)
            raise typer.Exit(_status(0, 0, reserved.earlier, strict))
        scorer = load_scorer(
            model, backend=backend, device=device, dtype=dtype, batch_size=batch_size, workers=workers
        )
        pictures = None if maps is None else _MapPictures(scorer, maps, found, overwrite or resume)
        # Closed here: the garbage collector may run in a worker, which cannot wait for itself.
        with _writer(path, reserved, scorer) as file, closing(_score(scorer, work, pictures)) as scored:
            rows = _Rows(scored, sort)
            for row in rows:
                file.write(row)
    _summarise(rows, reserved.earlier, found, work, pictures, path, scorer)
    failed = rows.failed + (0 if pictures is None else pictures.failed)
    raise typer.Exit(_status(rows.scored, failed, reserved.earlier, strict))


def _status(scored: int, failed: int, earlier: EarlierRows, strict: bool) -> int:
    """The exit status after so many photos were scored, and so many photos or maps failed, beside earlier rows."""
    scored += earlier.num_done - earlier.num_failed
    return 1 if scored == 0 or (strict and failed + earlier.num_failed) else 0


def _check_output(output: Path, found: FoundImages, overwrite: bool, resume: bool, *, reads_stdin: bool) -> None:
    from ..scoring.score_files import check_output

    try:
        check_output(output, overwrite=overwrite, resume=resume)
        if output.exists():
            read = [path for path, _ in found.entries if os.path.exists(path) and output.samefile(path)]
            if read or (reads_stdin and os.path.samestat(os.fstat(0), output.stat())):
                raise ValueError(f"{output} is also one of the inputs")
    except (ValueError, OSError) as error:
        raise typer.BadParameter(sentence(error), param_hint="--output") from None


class _Work(NamedTuple):
    """A photo to score.

    Attributes:
        path: Where it is.
        error: Why it cannot be opened, if that is known.
        has_row: Whether it has a row from an earlier run, and only its map is missing.
    """

    path: str
    error: str | None
    has_row: bool


def _to_do(found: FoundImages, earlier: EarlierRows, maps: Path | None) -> list[_Work]:
    """Photos without a row and, where maps are drawn, those with a score and without a map."""
    from ..scoring.map_files import map_path
    from ..scoring.rows import as_text

    left = Counter(earlier.done)
    work = []
    for path, error in found.entries:
        name = as_text(path)
        if not left[name]:
            work.append(_Work(path, error, has_row=False))
            continue
        left[name] -= 1
        if maps is not None and not earlier.failed[name] and not os.path.lexists(map_path(maps, path)):
            work.append(_Work(path, error, has_row=True))
    return work


class _MapPictures:
    """Writes the map of a photo; what goes wrong is counted, and the run goes on."""

    def __init__(self, scorer: Scorer, folder: Path, found: FoundImages, overwrite: bool):
        from ..scoring.map_files import MapFolder, map_path

        config = scorer.config
        if getattr(config, "head", None) != "pooled":
            raise typer.BadParameter("only students with the pooled head have quality maps", param_hint="--maps")
        for place in {folder: None} | {map_path(folder, path).parent: None for path in found.paths}:
            if found.holds(place):
                raise typer.BadParameter(
                    f"maps in {visible(str(place))} would be among the photos, and would be scored as photos next "
                    "time: choose a folder elsewhere, or one whose name starts with a dot",
                    param_hint="--maps",
                )
        with wrong_usage("--maps"):
            self._maps = MapFolder(
                folder,
                found.paths,
                config.score_quantiles,
                overwrite=overwrite,
                max_pixels=scorer.max_pixels,
                formats=scorer.formats,
            )
        self.failed = 0
        self.first_failure = ""

    def save(self, one: _Work, result: Score) -> None:
        from ..models.images import OPENING_ERRORS

        if result.quality_map is None:
            if one.has_row:  # which will not tell this error
                self._fail(visible(f"{one.path}: {result.error}"))
            return
        try:
            self._maps.save(one.path, result.quality_map)
        except OPENING_ERRORS as error:
            self._fail(sentence(error))

    def _fail(self, reason: str) -> None:
        self.first_failure = self.first_failure or reason
        self.failed += 1


def _score(scorer: Scorer, work: list[_Work], pictures: _MapPictures | None) -> Generator[Row]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from ..scoring.rows import to_row
    from ..scoring.score import Score

    readable = (one.path for one in work if one.error is None)
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), "photos", TimeRemainingColumn())
    with (
        closing(scorer.stream(readable, return_map=pictures is not None)) as results,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        for one in progress.track(work):
            result = next(results) if one.error is None else Score(float("nan"), error=one.error)
            if pictures is not None:
                pictures.save(one, result)
            if not one.has_row:
                yield to_row(one.path, result)


class _Rows:
    """Rows that count themselves; sorted ones also come, as far as they are, when scoring ends early."""

    def __init__(self, rows: Iterable[Row], sort: bool):
        self._rows = rows
        self._sort = sort
        self.scored = self.failed = 0

    def __iter__(self) -> Iterator[Row]:
        if not self._sort:
            yield from map(self._counted, self._rows)
            return
        rows: list[Row] = []
        try:
            for row in self._rows:
                rows.append(self._counted(row))
        finally:
            yield from sorted(rows, key=lambda row: (row["score"] is None, -(row["score"] or 0)))

    def _counted(self, row: Row) -> Row:
        self.scored += row["error"] is None
        self.failed += row["error"] is not None
        return row


@contextmanager
def _reserved(output: Path | None, overwrite: bool, resume: bool) -> Iterator[Reserved]:
    from ..scoring.score_files import EarlierRows, Reserved, reserve

    if output is None:
        yield Reserved(Path(), EarlierRows())
        return
    with ExitStack() as closed:
        with _refused_output():
            reserved = closed.enter_context(reserve(output, overwrite=overwrite, resume=resume))
        yield reserved


@contextmanager
def _refused_output() -> Iterator[None]:
    try:
        yield
    except (ValueError, FileExistsError) as error:
        raise typer.BadParameter(sentence(error), param_hint="--output") from None


@contextmanager
def _writer(output: Path | None, reserved: Reserved, scorer: Scorer) -> Iterator[ScoreFile]:
    from ..scoring.rows import CsvWriter
    from ..scoring.score_files import ScoreFile

    if output is not None:
        backend = scorer.backend
        model = {
            "fingerprint": scorer.fingerprint,
            "model": f"{backend.source} with {backend.name} in {backend.dtype}",
        }
        with ExitStack() as closed:
            with _refused_output():
                file = closed.enter_context(reserved.writer(model))
            yield file
    elif sys.stdout.isatty():
        _reconfigure_stdout(errors="backslashreplace")
        config = scorer.config
        calibrated = config.interval_half_width is not None
        rows: list[Row] = []
        try:
            yield ScoreFile(SimpleNamespace(write=rows.append))
        finally:
            print_table(rows, f"{100 * config.interval_coverage:g} % interval" if calibrated else "interval")
    else:
        _reconfigure_stdout(encoding="utf-8")
        yield ScoreFile(CsvWriter(sys.stdout))
        sys.stdout.flush()


def _reconfigure_stdout(**options: Any) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(**options)


@contextmanager
def _one_sentence(output: Path | None) -> Iterator[None]:
    """Says in one sentence what ends a run early, and where the rows until then are.

    Asked to stop by a signal, a run ends as if interrupted, so that its files are closed.
    """
    try:
        with stopped_in_order():
            yield
    except KeyboardInterrupt:
        _stop("interrupted", 130, output)
    except SystemExit as error:
        _stop("asked to stop", int(error.code or 1), output)
    except BrokenPipeError:  # as by `head`: nobody reads any more
        _stop(None, 1, output)
    except OSError as error:
        _stop(f"cannot write {output or 'the rows'}: {error.strerror or error}", 1, output)


def _stop(reason: str | None, status: int, output: Path | None) -> NoReturn:
    from ..scoring.score_files import part_of

    if output is None:
        discard_stdout()
    if reason is not None:
        part = None if output is None else part_of(output)
        kept = ""
        if part is not None and part.exists():
            kept = f"; what was scored until then is in {part}: go on with --resume"
        print(visible(f"{reason}{kept}"), file=sys.stderr)
    raise typer.Exit(status)


def _say_finished(reserved: Reserved, found: FoundImages) -> None:
    parts = [f"{visible(str(reserved.path))} is finished: every photo has a row (--overwrite scores them again)"]
    parts += [counted(reserved.earlier.num_failed, "error")] if reserved.earlier.num_failed else []
    parts += _not_named(reserved.earlier, found)
    print(", ".join(parts), file=sys.stderr)


def _summarise(
    rows: _Rows,
    earlier: EarlierRows,
    found: FoundImages,
    work: list[_Work],
    pictures: _MapPictures | None,
    output: Path | None,
    scorer: Scorer,
) -> None:
    parts = [f"{rows.scored} scored by {scorer.backend.name} in {scorer.backend.dtype}"]
    parts += [counted(rows.failed, "error")] if rows.failed else []
    parts += [f"{earlier.num_done} kept from before"] if earlier.num_done else []
    parts += _not_named(earlier, found)
    parts += [f"{again} scored again for their maps"] if (again := sum(one.has_row for one in work)) else []
    parts += [f"written to {visible(str(output))}"] if output else []
    parts += [left] if (left := skipped(found)) else []
    print(", ".join(parts), file=sys.stderr)
    if pictures is not None and pictures.failed:
        print(
            f"{counted(pictures.failed, 'map')} not written, the first since {pictures.first_failure}", file=sys.stderr
        )


def _not_named(earlier: EarlierRows, found: FoundImages) -> list[str]:
    from ..scoring.rows import as_text

    strangers = (earlier.done - Counter(as_text(path) for path, _ in found.entries)).total()
    return [f"{counted(strangers, 'row')} of photos that the inputs do not name"] if strangers else []
