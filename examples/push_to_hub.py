"""Puts a checkpoint on the Hub: weights, configurations, model card, and the code that they need.

    python examples/push_to_hub.py runs/student/checkpoint organisation/name --dry-run

checks every file and sends none. Without --dry-run it needs `hf auth login` or HF_TOKEN.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dpiqa.hub import push_to_hub


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="folder of a student or a teacher, with its card as README.md")
    parser.add_argument("repo_id", help="organisation/name")
    parser.add_argument("--dry-run", action="store_true", help="check every file, send none")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    return parser


def main(arguments: argparse.Namespace) -> None:
    files = push_to_hub(arguments.checkpoint, arguments.repo_id, dry_run=arguments.dry_run, private=arguments.private)
    for file in files:
        print(f"{file.name:32}{file.num_bytes:>12,}  {file.found}")
    print(f"{arguments.repo_id}: {len(files)} files checked, {'none' if arguments.dry_run else 'all'} sent")


if __name__ == "__main__":
    main(make_parser().parse_args())
