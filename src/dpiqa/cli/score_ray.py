"""`dpiqa score --engine ray`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from ..counting import counted
from .commands import stopped_in_order
from .extras import missing_extra
from .load import find_photos, load_scorer, skipped
from .terminal import sentence, visible, wrong_usage

if TYPE_CHECKING:
    from ..scoring.engines.inputs import Inputs
    from ..scoring.image_files import FoundImages


def check_engine(engine: str, *, local: Mapping[str, Any], ray: Mapping[str, Any]) -> None:
    """Refuses an engine that does not exist, and options that are of the other one alone."""
    if engine not in ("local", "ray"):
        raise typer.BadParameter(f"expected local or ray, got {visible(engine)}", param_hint="--engine")
    other, options = ("local", local) if engine == "ray" else ("ray", ray)
    for option, value in options.items():
        if value:
            raise typer.BadParameter(f"works with --engine {other} only", param_hint=option)


def score_ray(
    inputs: Sequence[str],
    output: str | None,
    load: Mapping[str, Any],
    *,
    image_column: str | None,
    carry: Sequence[str],
    workers: int | None,
    overwrite: bool,
    resume: bool,
    strict: bool,
) -> NoReturn:
    """Scores with Ray Data, says what came out, and ends the command; the arguments are those of `dpiqa score`."""
    if output is None or output.lower().endswith((".csv", ".jsonl")):
        raise typer.BadParameter("--engine ray writes a folder of Parquet files: name one", param_hint="--output")
    if resume and overwrite:
        raise typer.BadParameter("cannot be combined with --overwrite", param_hint="--resume")
    try:
        from ray.exceptions import RayError

        from ..scoring.engines.ray import score_inputs
        from ..scoring.engines.score_folder import RowCounts, ScoreFolder
    except ModuleNotFoundError as error:
        raise missing_extra(error, "ray") from None
    found, wanted = _find(inputs, image_column, carry)
    with wrong_usage("--output"):
        folder = ScoreFolder(output)
        before = folder.counts() if resume else RowCounts()
    scorer = load_scorer(workers=1, **load)
    try:
        with stopped_in_order():
            now = score_inputs(
                scorer, load["model"], wanted, output, workers=workers, resume=resume, overwrite=overwrite
            )
    except RayError as error:  # before what it can be at the same time
        _stop(f"Ray cannot go on: {_cause(error)}", 1, output)
    except (ValueError, FileExistsError) as error:
        raise typer.BadParameter(sentence(error), param_hint="--output") from None
    except KeyboardInterrupt:
        _stop("interrupted", 130, output)
    except SystemExit as error:
        _stop("asked to stop", int(error.code or 1), output)
    except OSError as error:
        _stop(f"cannot write {output}: {error.strerror or error}", 1, output)
    scored, failed = now.scored - before.scored, now.failed - before.failed
    parts = [f"{scored} scored by {scorer.backend.name} in {scorer.backend.dtype}"]
    parts += [counted(failed, "error")] if failed else []
    parts += [f"{before.scored + before.failed} kept from before"] if before != RowCounts() else []
    parts += [f"written to {visible(output)}"]
    parts += [left] if (left := skipped(found)) else []
    print(", ".join(parts), file=sys.stderr)
    raise typer.Exit(1 if now.scored == 0 or (strict and now.failed) else 0)


def _find(names: Sequence[str], image_column: str | None, carry: Sequence[str]) -> tuple[FoundImages, Inputs]:
    from ..models.image_urls import is_url
    from ..scoring.engines.inputs import find_inputs
    from ..scoring.engines.shards import is_shard
    from ..scoring.image_files import FoundImages

    found = FoundImages()
    with wrong_usage("INPUTS"):
        photos = [name for name in names if not (is_url(name) or is_shard(name))]
        if photos:
            found = find_photos(photos, "INPUTS")
        others = [name for name in names if name not in photos]
        return found, find_inputs(others, found=found, image_column=image_column, carry=carry)


def _cause(error: BaseException) -> str:
    """The last line of what Ray says before its hints, which is the error itself; the rest is where it came from."""
    lines = [line.strip() for line in str(error).partition("\nFailed to apply UDF")[0].splitlines() if line.strip()]
    return visible(lines[-1] if lines else type(error).__name__)


def _stop(reason: str, status: int, output: str) -> NoReturn:
    kept = f"what was scored until then is in {output}: go on with --resume"
    print(visible(f"{reason}; {kept}"), file=sys.stderr)
    raise typer.Exit(status)
