"""Photos as a source of Ray Data, which decides where and when each part is read, and reads again what was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pyarrow as pa
from ray.data import DataContext, Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask

from .inputs import Inputs
from .photos import Photo, listed_photo, table_of
from .shards import read_shard

# Names are small: a task hands out no more of them, so that it is itself small.
_NAMES_PER_TASK = 1_000
_ROWS_PER_TABLE = 64


class PhotoSource(Datasource):
    """Photos with a file of their own, and files that hold many.

    Ray's readers of the same formats are not used. One file that cannot be opened ends them, or is left out without a
    word; a damaged header is the end of a tar to them; and they give rows no key to know them again by.

    Args:
        inputs: What they are.
    """

    def __init__(self, inputs: Inputs):
        super().__init__()
        self._inputs = inputs

    def get_name(self) -> str:
        return "Photos"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        retried = list((data_context or DataContext.get_current()).retried_io_errors)
        inputs, carried = self._inputs, self._inputs.carried
        share = max(1, min(_NAMES_PER_TASK, len(inputs.listed) // parallelism))
        reads: list[Callable[[], Iterator[list[Photo]]]] = [
            partial(_list, inputs.listed[start : start + share]) for start in range(0, len(inputs.listed), share)
        ]
        reads += [
            partial(read_shard, name, image_column=inputs.image_column, carried=carried, retried=retried)
            for name in inputs.shards
        ]
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [
            ReadTask(partial(_tables, read, carried), unknown, per_task_row_limit=per_task_row_limit) for read in reads
        ]


def _list(entries: Sequence[tuple[str, str | None]]) -> Iterator[list[Photo]]:
    for start in range(0, len(entries), _ROWS_PER_TABLE):
        yield [listed_photo(path, error) for path, error in entries[start : start + _ROWS_PER_TABLE]]


def _tables(read: Callable[[], Iterator[list[Photo]]], carried: Sequence[pa.Field]) -> Iterator[pa.Table]:
    for photos in read():
        yield table_of(photos, carried)


__all__ = ["PhotoSource"]
