"""A Hub cache as huggingface_hub lays it out, for tests without the Hub."""

import hashlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets import Dataset, load_dataset


def add_to_cache(cache: Path, repo_id: str, checkpoint: Path, revision: str = "main") -> str:
    """Puts a checkpoint into the cache as a revision of a model repository and returns the commit."""
    commit = hashlib.sha1(f"{repo_id}@{revision}".encode()).hexdigest()
    repository = cache / f"models--{repo_id.replace('/', '--')}"
    shutil.copytree(checkpoint, repository / "snapshots" / commit)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / revision).write_text(commit)
    return commit


def add_dataset_to_cache(cache: Path, repo_id: str, splits: dict[str, Dataset]) -> None:
    """Puts a data set where `datasets` keeps what it has loaded from the Hub, from which it can stream offline."""
    organisation, name = repo_id.split("/")
    with TemporaryDirectory() as folder:
        for split, rows in splits.items():
            rows.to_parquet(f"{folder}/{name}/data/{split}-00000-of-00001.parquet", batch_size=100)
        load_dataset(f"{folder}/{name}", cache_dir=cache)
    (cache / name).rename(cache / f"{organisation}___{name}")
