"""Puts a checkpoint on the Hub: weights, configurations, model card, and the code that they need.

    python examples/push_to_hub.py my-student organisation/name --dry-run

checks every file and sends none. Without --dry-run it needs `hf auth login` or HF_TOKEN.
"""

import typer

from dpiqa.hub.push import push_to_hub


def main(checkpoint: str, repo_id: str, dry_run: bool = False, private: bool = False) -> None:
    """Checks the files of a checkpoint and uploads them."""
    files = push_to_hub(checkpoint, repo_id, dry_run=dry_run, private=private)
    for file in files:
        print(f"{file.name:32}{file.num_bytes:>12,}  {file.found}")
    print(f"{repo_id}: {len(files)} files checked, {'none' if dry_run else 'all'} sent")


if __name__ == "__main__":
    typer.run(main)
