"""A data set as Parquet files with a card, for the Hub or for plain `datasets.load_dataset`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .load import RELEASES, SplitRatings, load_ratings, to_dataset
from .schema import SPLITS
from .splits import split_digest

_SHARD_BYTES = 500_000_000
_BINS = 10
_BAR = 40


def prepare_dataset(
    name: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    mos_range: tuple[float, float] | None = None,
    seed: int = 0,
    allow_missing: bool = False,
) -> dict[str, int]:
    """Writes `data/SPLIT-*.parquet` with the images inside, and `README.md`, the data set card.

    `datasets.load_dataset(output)` and [`dpiqa.data.load_iqa_dataset`] read the folder.

    Args:
        name: See [`dpiqa.data.load_iqa_dataset`].
        output: Folder to write to; must not hold Parquet files yet.
        root: Folder of the release.
        mos_range: For a table: the MOS that become 0 and 1.
        seed: Of a split that is not official.
        allow_missing: Whether missing and unreadable images are left out in place of an error.

    Returns:
        Photos per split.

    Raises:
        FileExistsError: When the folder holds Parquet files.
        FileNotFoundError: When labels or images are missing.
        ValueError: See [`dpiqa.data.load_iqa_dataset`].
    """
    from datasets import Image
    from datasets.table import embed_table_storage

    output = Path(output)
    if list(output.glob("data/*.parquet")):
        raise FileExistsError(f"{output / 'data'} holds Parquet files already: choose another folder.")
    loaded = load_ratings(name, root, seed=seed, mos_range=mos_range, allow_missing=allow_missing)
    (output / "data").mkdir(parents=True, exist_ok=True)
    counts = {}
    for split in SPLITS:
        dataset = to_dataset(loaded, split)
        if not len(dataset):
            continue
        counts[split] = len(dataset)
        sizes = [os.path.getsize(image["path"]) for image in dataset["image"]]
        shards = -(-sum(sizes) // _SHARD_BYTES)
        decoded = dataset.cast_column("image", Image())  # what people expect of an image column
        for index in range(shards):
            shard = decoded.shard(shards, index, contiguous=True).with_format("arrow")
            embedded = shard.map(embed_table_storage, batched=True, batch_size=100, keep_in_memory=True)
            embedded.with_format(None).to_parquet(output / "data" / f"{split}-{index:05d}-of-{shards:05d}.parquet")
    (output / "README.md").write_text(_card(str(name), loaded, counts, seed), encoding="utf-8")
    return counts


def push_dataset(folder: str | os.PathLike[str], repo_id: str) -> str:
    """Uploads a prepared folder to a private data set of the Hub; most licences do not allow a public one.

    Returns:
        Its address.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    url = api.create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True)
    api.upload_folder(folder_path=folder, repo_id=repo_id, repo_type="dataset")
    return str(url)


def _card(name: str, loaded: SplitRatings, counts: Mapping[str, int], seed: int) -> str:
    release = RELEASES.get(name)
    title = release.title if release else Path(name).stem
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in counts)
    low, high = loaded.mos_range
    photos = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    origin = "its authors' split" if loaded.official else f"a random split (seed {seed})"
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

# {title}, prepared with dpiqa

{terms}- Photos: {photos}; {origin}, validation cut from train where it has none.
- Columns: `image`, `mos` ({low:g} to {high:g} mapped to 0 to 1, higher is better), `mos_raw`, `mos_std` (in units of
  `mos`), `reference`, `name`.
- SHA-256 of the split: `{split_digest(loaded.ratings, loaded.splits)}`.

## Opinion scores

```text
{_histogram(loaded.normalised(loaded.ratings))}
```
"""


def _histogram(mos: Sequence[float]) -> str:
    counts, edges = np.histogram(mos, bins=_BINS, range=(0, 1))
    rows = zip(counts, edges, edges[1:], strict=False)
    return "\n".join(f"{a:.1f} .. {b:.1f} {'#' * round(_BAR * n / counts.max()):<{_BAR}} {n}" for n, a, b in rows)
