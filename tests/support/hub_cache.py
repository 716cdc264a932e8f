"""A Hub cache as huggingface_hub lays it out, for tests without the Hub."""

import hashlib
import shutil
from pathlib import Path


def add_to_cache(cache: Path, repo_id: str, checkpoint: Path, revision: str = "main") -> str:
    """Puts a checkpoint into the cache as a revision of a model repository and returns the commit."""
    commit = hashlib.sha1(f"{repo_id}@{revision}".encode()).hexdigest()
    repository = cache / f"models--{repo_id.replace('/', '--')}"
    shutil.copytree(checkpoint, repository / "snapshots" / commit)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / revision).write_text(commit)
    return commit
