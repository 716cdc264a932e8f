"""A data set as Parquet files with a card, for the Hub or for plain `datasets.load_dataset`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .embedded import MOS_RANGE, RELEASED_SPLIT
from .images import image_sizes
from .load import IQASplits
from .schema import SPLITS

SEED = 0
_SHARD_BYTES = 500_000_000
_BINS = 10
_BAR = 40
_CARD, _DATA = "README.md", "data"
_MADE_BY = "prepared with dpiqa"
_SHARD = re.compile(rf"({'|'.join(SPLITS)})-\d{{5}}-of-\d{{5}}\.parquet")


def prepare_dataset(splits: IQASplits, output: str | os.PathLike[str], *, overwrite: bool = False) -> dict[str, int]:
    """Writes `data/SPLIT-*.parquet` with the images inside, and `README.md`, the data set card.

    `datasets.load_dataset(output)` and [`dpiqa.data.load_iqa_splits`] read the folder, the latter with the same
    splits, groups and rating scale. The files appear together when the last one is written: what is cut off leaves a
    hidden folder.

    Args:
        splits: The data set, cut with seed 0, as everything that reads the folder cuts it.
        output: Folder to write to. It must be empty, or not be there yet.
        overwrite: Whether what an earlier call wrote there is replaced.

    Returns:
        Photos per split.

    Raises:
        FileExistsError: When the folder holds other files.
        ValueError: When the splits were cut with another seed.
    """
    if splits.seed != SEED:
        raise ValueError(f"A data set is prepared as it is cut with seed {SEED}, and these splits have {splits.seed}.")
    output = Path(output)
    partial, data = output / ".partial", output / _DATA
    present = {path for path in output.iterdir() if path != partial} if output.exists() else set()
    if present and not (overwrite and _was_prepared(output)):
        raise FileExistsError(
            f"{output} holds files already. Choose another folder; --overwrite (in Python overwrite=True) replaces a "
            "prepared data set only."
        )
    shutil.rmtree(partial, ignore_errors=True)
    (partial / _DATA).mkdir(parents=True)
    counts = _write_shards(splits, partial / _DATA)
    (partial / _CARD).write_text(_card(splits, counts), encoding="utf-8")
    shutil.rmtree(data, ignore_errors=True)
    (partial / _DATA).rename(data)
    (partial / _CARD).replace(output / _CARD)
    partial.rmdir()
    return counts


def push_dataset(folder: str | os.PathLike[str], repo_id: str) -> str:
    """Uploads a prepared folder to a private data set of the Hub; most licences do not allow a public one.

    Only the card and the Parquet files are sent, whatever else the folder holds.

    Returns:
        Its address.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    url = api.create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True)
    shards = [f"{_DATA}/{path.name}" for path in (Path(folder) / _DATA).iterdir() if _SHARD.fullmatch(path.name)]
    api.upload_folder(
        folder_path=folder,
        repo_id=repo_id,
        repo_type="dataset",
        allow_patterns=[_CARD, *shards],
        delete_patterns=f"{_DATA}/*.parquet",  # of an earlier upload that had more of them
    )
    return str(url)


def _was_prepared(folder: Path) -> bool:
    """Whether a card of ours is there, and beside it no data but ours."""
    card = folder / _CARD
    if not card.is_file() or _MADE_BY not in card.read_text(encoding="utf-8", errors="replace"):
        return False
    return all(_SHARD.fullmatch(path.name) for path in (folder / _DATA).glob("*"))


def _write_shards(splits: IQASplits, folder: Path) -> dict[str, int]:
    from datasets import Image
    from datasets.table import embed_table_storage

    photos = splits.photos.add_column(RELEASED_SPLIT, splits.released, feature=splits.photos.features["split"])
    photos = photos.add_column(MOS_RANGE, [list(splits.mos_range)] * len(photos))
    its_split = photos["split"][:]
    counts = {}
    for split in SPLITS:
        part = photos.select([row for row, its in enumerate(its_split) if its == split])
        if not len(part):
            continue
        counts[split] = len(part)
        shards = -(-sum(image_sizes(part)) // _SHARD_BYTES)
        decoded = part.cast_column("image", Image())  # what people expect of an image column
        for index in range(shards):
            shard = decoded.shard(shards, index, contiguous=True).with_format("arrow")
            embedded = shard.map(embed_table_storage, batched=True, batch_size=100, keep_in_memory=True)
            embedded.with_format(None).to_parquet(folder / f"{split}-{index:05d}-of-{shards:05d}.parquet")
    return counts


def _card(splits: IQASplits, counts: Mapping[str, int]) -> str:
    release = splits.source.release
    title = release.title if release else splits.source.label
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in counts)
    low, high = splits.mos_range
    photos = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    origin = "the split that it came with" if splits.official else f"cut with seed {SEED}"
    terms = (
        f"- Licence: {release.licence}. Check it before you share these files.\n- Source: <{release.url}>\n"
        f"- Cite: {release.citation}.\n"
        if release
        else "- Licence: that of the photos.\n"
    )
    return f"""---
pretty_name: {title}
tags: [image-quality-assessment, dpiqa]
license: other
configs:
- config_name: default
  data_files:
{files}
---

# {title}, {_MADE_BY}

{terms}- Photos: {photos}; {origin}, validation cut from train where it has none.
- Columns: `image`, `mos` ({low:g} to {high:g} mapped to 0 to 1, higher is better), `mos_raw`, `mos_std` (in units of
  `mos`), `reference`, `group` (photos of one group were rated on one scale), `scene` (photos of one scene are in one
  split), `name`, `split`, `released_split` (null where its authors made none), `mos_range`.
- SHA-256 of the split: `{splits.digest}`.

## Opinion scores

```text
{_histogram(splits.photos["mos"][:])}
```
"""


def _histogram(mos: Sequence[float]) -> str:
    counts, edges = np.histogram(mos, bins=_BINS, range=(0, 1))
    rows = zip(counts, edges, edges[1:], strict=False)
    return "\n".join(f"{a:.1f} .. {b:.1f} {'#' * round(_BAR * n / counts.max()):<{_BAR}} {n}" for n, a, b in rows)
