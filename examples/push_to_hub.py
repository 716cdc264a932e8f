"""Puts a checkpoint on the Hub: weights, configurations, model card, and the code that they need.

    python examples/push_to_hub.py --checkpoint my-student --repo_id organisation/name --dry_run

checks every file and sends none. Without --dry_run it needs `hf auth login` or HF_TOKEN.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dpiqa.hub.push import CheckedFile, push_to_hub
from dpiqa.training.script_parser import ScriptParser


@dataclass
class PushArguments:
    """What goes where."""

    checkpoint: str = field(metadata={"help": "folder of a student or a teacher, with its card as README.md"})
    repo_id: str = field(metadata={"help": "organisation/name"})
    dry_run: bool = field(default=False, metadata={"help": "check every file, send none"})
    private: bool = field(default=False, metadata={"help": "make a new repository private"})


def make_parser() -> ScriptParser:
    return ScriptParser([PushArguments], description=__doc__.splitlines()[0])


def main(arguments: PushArguments) -> list[CheckedFile]:
    files = push_to_hub(arguments.checkpoint, arguments.repo_id, dry_run=arguments.dry_run, private=arguments.private)
    for file in files:
        print(f"{file.name:32}{file.num_bytes:>12,}  {file.found}")
    print(f"{arguments.repo_id}: {len(files)} files checked, {'none' if arguments.dry_run else 'all'} sent")
    return files


if __name__ == "__main__":
    main(*make_parser().parse_args_into_dataclasses())
