"""Scoring on all cores of a machine or a cluster, with Ray Data (the extra `[ray]`).

    photos and shards -> read (tasks) -> score (actors, one model each) -> Parquet (tasks)

Ray Data places the work, moves it when a process or a machine is lost, keeps what is in flight within its memory, and
remembers which rows are written. What is here says what a photo, a row and a damaged file are.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa

from ...extras import how_to_install
from ..rows import arrow_schema, to_row
from ..scorer import Scorer
from .inputs import Inputs
from .photos import PHOTO_FIELDS, score_photos
from .score_folder import RowCounts, ScoreFolder

try:
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.data.checkpoint import CheckpointConfig
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error.name} is not installed: {how_to_install('ray')}.", name=error.name) from None

from .ray_source import PhotoSource

# In one piece an actor is given so many bytes of photos, or of their names: a few dozen photos, a few seconds of work.
_BYTES_OF_PHOTOS, _BYTES_OF_NAMES = 16 * 2**20, 16 * 2**10
# At least, so that all workers end at about the same time.
_PIECES_PER_WORKER = 4
# For every so many cores that score, one task reads; a reader waits more than it computes, and holds no core.
_CORES_PER_READER = 8
_RETRIES = 8
# What a run that is killed loses of each worker, and where files are large enough for stores and readers.
_ROWS_PER_WORKER, _MOST_ROWS = 250, 50_000


def score_inputs(
    scorer: Scorer,
    model: str | None,
    inputs: Inputs,
    output: str,
    *,
    workers: int | None = None,
    cores: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    rows_per_file: int | None = None,
) -> RowCounts:
    """Scores photos into a folder of Parquet files, one row each, in no order.

    Rows have the columns of [`dpiqa.scoring.rows.to_row`], before them the `key`, after them those that are carried.
    It runs on the cluster that Ray is connected to, or finds, or else on this machine.

    Args:
        scorer: What [`dpiqa.Scorer.from_pretrained`] made of `model`; every actor loads the same for itself.
        model: Folder or Hub id, found by all machines of the cluster; None is the student inside the package.
        inputs: The photos; see [`dpiqa.scoring.engines.inputs.find_inputs`].
        output: Folder or URL (`s3://`, `gs://`) for the rows, seen by all machines.
        workers: Actors, each with a model of its own; None takes as many as the cluster has room for.
        cores: Cores of an actor, which opens so many photos at the same time; None is 1, and the share of a GPU in
            those of its machine for an actor that has one.
        resume: Whether to keep the rows in `output` and leave out their photos.
        overwrite: Whether to remove rows that are there.
        rows_per_file: At least so many rows are a file of the output, and safe once it is written; None is 250 for
            each worker, and 50,000 at most.

    Returns:
        What is in `output` now.

    Raises:
        OSError: When the output must not or cannot be written.
        ValueError: When the output has scores of another model, or holds one of the inputs.
        ray.exceptions.RayError: When Ray cannot go on; the rows that are written stay.
    """
    backend, folder = scorer.backend, ScoreFolder(output)
    named = {"fingerprint": scorer.fingerprint, "model": f"{backend.source} with {backend.name} in {backend.dtype}"}
    read = [*inputs.shards, *(name for name, _ in inputs.listed)]
    folder.begin(
        named, resume=resume, overwrite=overwrite, inputs=read, carried=[field.name for field in inputs.carried]
    )
    if not ray.is_initialized():
        _start_ray()
    gpus = 1 if backend.device.startswith("cuda") else 0
    cores = cores or (_cores_beside_a_gpu([node["Resources"] for node in ray.nodes() if node["Alive"]]) if gpus else 1)
    in_cluster = int(ray.cluster_resources().get("CPU", 1))
    room = max(1, in_cluster // cores)
    at_first = min(workers or room, room)
    arguments = {
        "model": model,
        # What was chosen here, so that no machine of the cluster chooses something else.
        "options": {
            "backend": backend.name,
            "device": "cuda" if gpus else backend.device,
            "dtype": backend.dtype,
            "batch_size": scorer.batch_size,
            "max_pixels": scorer.max_pixels,
            "formats": scorer.formats,
            "workers": cores,
        },
        "fingerprint": scorer.fingerprint,
        "carried": inputs.carried,
    }
    with _settings(folder, inputs.names_only):
        photos = ray.data.read_datasource(
            PhotoSource(inputs),
            num_cpus=0,
            concurrency=max(2, at_first * cores // _CORES_PER_READER),
            override_num_blocks=_PIECES_PER_WORKER * at_first,
        )
        rows = photos.map_batches(
            _ScoringActor,
            fn_constructor_kwargs=arguments,
            compute=ActorPoolStrategy(min_size=1, max_size=workers, initial_size=1 if resume else at_first),
            num_cpus=_cores_to_claim(cores, in_cluster, gpus=gpus) if resume else cores,
            num_gpus=gpus or None,
            batch_size=None,
            batch_format="pyarrow",
            udf_modifying_row_count=False,
        )
        rows_per_file = rows_per_file or min(_ROWS_PER_WORKER * at_first, _MOST_ROWS)
        rows.write_parquet(folder.url, min_rows_per_file=rows_per_file, ray_remote_args={"num_cpus": 0})
    return folder.counts()


def _cores_beside_a_gpu(machines: Sequence[Mapping[str, float]]) -> int:
    """An actor's share of the cores of its machine: the smallest of all machines that have a GPU, so that it fits."""
    shares = [machine.get("CPU", 1) / machine["GPU"] for machine in machines if machine.get("GPU")]
    return max(1, int(min(shares, default=1)))


def _cores_to_claim(cores: int, in_cluster: int, *, gpus: int) -> int:
    """What Ray is told that an actor takes, in a run that goes on.

    Such a run needs a core beside its actors, for looking which rows are there: until all photos are read, that work
    does not end, and it stops reading when nothing is scored. Where GPUs limit the number of actors, each leaves one
    core; else it is enough that one actor does not take them all. A core is the least that is claimed: of actors that
    take none, Ray would start any number.
    """
    return max(1, cores - 1 if gpus else min(cores, in_cluster - 1))


def _start_ray() -> None:
    """Connects to a cluster or starts one; its plans and hints go to the files of its session, and not to stderr."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray.init(log_to_driver=False, logging_level="ERROR")
    # That small inputs, or the few that are left, do not keep all workers busy.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"ray\.data\.")
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.ERROR)


def _settings(output: ScoreFolder, names_only: bool) -> AbstractContextManager[None]:
    """Ray Data's settings for one run, beside which those of the process stay as they are."""
    context = DataContext.get_current().copy()
    context.target_max_block_size = _BYTES_OF_NAMES if names_only else _BYTES_OF_PHOTOS
    context.checkpoint_config = CheckpointConfig("key", output.done, delete_checkpoint_on_success=False)
    # A task of its filter asks for a gigabyte otherwise; it takes more where the keys do.
    context.checkpoint_config.checkpoint_actor_memory_bytes = 0
    context.retried_map_errors = list(context.retried_io_errors)
    context.max_map_retries = _RETRIES
    context.enable_progress_bars = sys.stderr.isatty()
    return DataContext.current(context)


class _ScoringActor:
    """A model in a process of its own."""

    def __init__(self, model: str | None, options: Mapping[str, Any], fingerprint: str, carried: Sequence[pa.Field]):
        self._scorer = Scorer.from_pretrained(model, **options)
        if self._scorer.fingerprint != fingerprint:
            raise ValueError(
                f"the model {self._scorer.backend.source} is another one on this machine than where the run was "
                "started: give all machines the same folder, or name the revision"
            )
        self._carried = [field.name for field in carried]
        self._schema = pa.schema([PHOTO_FIELDS[0], *arrow_schema()])

    def __call__(self, table: pa.Table) -> pa.Table:
        photos, retried = table.to_pylist(), DataContext.get_current().retried_io_errors
        rows = [
            {"key": photo["key"], **to_row(photo["path"], score)}
            for photo, score in zip(photos, score_photos(self._scorer, photos, retried), strict=True)
        ]
        scored = pa.Table.from_pylist(rows, self._schema)
        for name in self._carried:
            scored = scored.append_column(name, table[name])
        return scored


__all__ = ["score_inputs"]
