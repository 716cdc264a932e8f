"""Files that hold many photos, whole and damaged."""

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_parquet(path: Path, columns: Mapping[str, list], **options) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def write_tar(path: Path, files: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> Path:
    """Files in their order."""
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as tar:
        for name, content in files.items() if isinstance(files, Mapping) else files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def damage_row_group(path: Path, number: int) -> None:
    """Overwrites the data of a row group; the end of the file still says that it is there."""
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(number).column(0)
        start = column.dictionary_page_offset or column.data_page_offset
        length = column.total_compressed_size
    content = bytearray(path.read_bytes())
    content[start : start + length] = b"\xff" * length
    path.write_bytes(content)
