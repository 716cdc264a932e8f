"""`dpiqa score`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..counting import counted
from .load import find_photos, load_scorer, skipped
from .score_hub import open_hub_photos, score_hub
from .score_maps import MapPictures, Work
from .score_output import CountedRows, one_sentence, reserved_output, row_writer, status_of, summary_of, with_progress
from .score_ray import check_engine, score_ray
from .score_report import check_report, finish_report, open_report, shows_maps
from .terminal import sentence, visible

if TYPE_CHECKING:
    from ..culling.report import Report
    from ..scoring.image_files import FoundImages
    from ..scoring.score_files import EarlierRows, Reserved
    from ..scoring.scorer import Scorer

    Row = dict[str, Any]


def score(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS",
            help="Photos, folders or patterns; - reads a list of paths from stdin. Or one data set on the Hub: "
            "hf://datasets/ORG/NAME, or hf://datasets/ORG/NAME@REVISION.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a student or a teacher.", show_default="the bundled student"),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            envvar="DPIQA_BACKEND",
            help="torch, onnx or openvino; auto takes the fastest that is installed and agrees with torch. The "
            "first run with onnx or openvino takes half a minute longer, because it exports the model.",
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto (cuda, else mps, else cpu), or a torch device.")] = "auto",
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
        typer.Option(
            "--output", "-o", help="A .csv, .jsonl or .parquet file; with ray a folder, which can be s3:// or gs://."
        ),
    ] = None,
    maps: Annotated[Path | None, typer.Option(help="Folder for quality maps laid over the photos, as PNG.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="HTML page for looking through the photos, best first, bursts together.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Keep the rows of --output, and score only photos that have no row."),
    ] = False,
    sort: Annotated[bool, typer.Option("--sort", help="Best photo first, errors last.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 when a photo has no score, or a map is not written.")
    ] = False,
    split: Annotated[
        str | None, typer.Option(help="The split of a Hub data set.", show_default="all of them in turn")
    ] = None,
    subset: Annotated[str | None, typer.Option(help="The subset of a Hub data set that has several.")] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="local, or ray for all cores of a machine or a cluster. With ray, INPUTS can also be Parquet files, "
            "WebDataset tars and URLs, and --workers is the number of processes.",
        ),
    ] = "local",
    image_column: Annotated[
        str | None,
        typer.Option(
            help="The column of photos of a Hub data set. With ray: the column of Parquet files with photos, paths or "
            "URLs, or the suffix in tars.",
            show_default="the only one with images; with ray image, and in tars all photos",
        ),
    ] = None,
    carry: Annotated[
        list[str] | None,
        typer.Option(
            help="With ray: a column, or in tars a suffix, to copy into the rows. Repeat the option for several."
        ),
    ] = None,
) -> None:
    """Score photos: higher is better, 0 to 1 on the scale of human opinion scores.

    It prints a table on a terminal and CSV in a pipe, or writes a file with --output. Photos that cannot be scored
    become rows with an error.
    """
    of_local = {"--maps": maps, "--report": report, "--sort": sort, "--split": split, "--subset": subset}
    check_engine(engine, ray={"--carry": carry}, local=of_local)
    load: dict[str, Any] = {
        "model": model,
        "backend": backend,
        "device": device,
        "dtype": dtype,
        "batch_size": batch_size,
    }
    if engine == "ray":
        score_ray(
            inputs,
            output,
            load,
            image_column=image_column,
            carry=carry or [],
            workers=workers,
            overwrite=overwrite,
            resume=resume,
            strict=strict,
        )
    path = None if output is None else Path(output)
    if resume and output is None:
        raise typer.BadParameter("name the file to go on with: --output FILE", param_hint="--resume")
    if resume and (sort or overwrite):
        raise typer.BadParameter(
            f"cannot be combined with {'--sort' if sort else '--overwrite'}", param_hint="--resume"
        )
    if resume and report is not None:
        raise typer.BadParameter(
            "cannot be combined with --resume: a report shows the photos that were scored in its own run",
            param_hint="--report",
        )
    load_once = partial(load_scorer, workers=workers, **load)
    hub_photos = open_hub_photos(
        inputs, {"--maps": maps, "--report": report}, split=split, subset=subset, image_column=image_column
    )
    if hub_photos is not None:
        score_hub(hub_photos, load_once, path, overwrite=overwrite, resume=resume, sort=sort, strict=strict)
    found = find_photos(inputs, "INPUTS")
    if path is not None:
        _check_output(path, found, overwrite, resume, reads_stdin="-" in inputs)
    if report is not None:
        check_report(report, overwrite)
    with ExitStack() as left, one_sentence(path), reserved_output(path, overwrite, resume) as reserved:
        work = _to_do(found, reserved.earlier, maps)
        if reserved.is_finished and not work:
            _say_finished(reserved, found)
            raise typer.Exit(status_of(0, 0, reserved.earlier, strict))
        scorer = load_once()
        pictures = None if maps is None else MapPictures(scorer, maps, found, overwrite or resume)
        page = None if report is None else left.enter_context(open_report(report, scorer, found, overwrite))
        # Closed here: the garbage collector may run in a worker, which cannot wait for itself.
        with row_writer(path, reserved, scorer) as file, closing(_score(scorer, work, pictures, page)) as scored:
            rows = CountedRows(scored, sort)
            for row in rows:
                file.write(row)
        is_written, where = (True, "") if page is None else finish_report(page)
    _summarise(rows, reserved.earlier, found, work, pictures, path, scorer)
    if where:
        print(where, file=sys.stderr)
    failed = rows.failed + (0 if pictures is None else pictures.failed)
    raise typer.Exit(status_of(rows.scored, failed, reserved.earlier, strict) if is_written else 1)


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


def _to_do(found: FoundImages, earlier: EarlierRows, maps: Path | None) -> list[Work]:
    """Photos without a row and, where maps are drawn, those with a score and without a map."""
    from ..scoring.map_files import map_path
    from ..scoring.rows import as_text

    left = Counter(earlier.done)
    work = []
    for path, error in found.entries:
        name = as_text(path)
        if not left[name]:
            work.append(Work(path, error, has_row=False))
            continue
        left[name] -= 1
        if maps is not None and not earlier.failed[name] and not os.path.lexists(map_path(maps, path)):
            work.append(Work(path, error, has_row=True))
    return work


def _score(scorer: Scorer, work: list[Work], pictures: MapPictures | None, page: Report | None) -> Generator[Row]:
    from ..scoring.rows import to_row
    from ..scoring.score import Score

    readable = (one.path for one in work if one.error is None)
    with (
        closing(scorer.stream(readable, return_map=pictures is not None or shows_maps(page, scorer))) as results,
        closing(with_progress(work, len(work))) as shown,
    ):
        for one in shown:
            result = next(results) if one.error is None else Score(float("nan"), error=one.error)
            if pictures is not None:
                pictures.save(one, result)
            if page is not None:
                page.add(one.path, result)
            if not one.has_row:
                yield to_row(one.path, result)


def _say_finished(reserved: Reserved, found: FoundImages) -> None:
    parts = [f"{visible(str(reserved.path))} is finished: every photo has a row (--overwrite scores them again)"]
    parts += [counted(reserved.earlier.num_failed, "error")] if reserved.earlier.num_failed else []
    parts += _not_named(reserved.earlier, found)
    print(", ".join(parts), file=sys.stderr)


def _summarise(
    rows: CountedRows,
    earlier: EarlierRows,
    found: FoundImages,
    work: list[Work],
    pictures: MapPictures | None,
    output: Path | None,
    scorer: Scorer,
) -> None:
    parts = summary_of(rows, earlier, scorer) + _not_named(earlier, found)
    parts += [f"{again} scored again for their maps"] if (again := sum(one.has_row for one in work)) else []
    parts += [f"written to {visible(str(output))}"] if output else []
    if pictures is not None and pictures.written:
        parts.append(f"{counted(pictures.written, 'map')} written to {visible(str(pictures.folder))}")
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
