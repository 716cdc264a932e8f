"""The code blocks of the documentation: which there are, and how to run or at least check them.

A block that cannot run in a test has a comment with the reason in the line before it:

    <!-- not run: it needs a GPU -->
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import typer.main

from dpiqa.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "examples" / "README.md", *(ROOT / "docs").rglob("*.md")])
# What a command can name that is nowhere near, and what takes long or does not end by itself; other tests run these.
ELSEWHERE = ("hf://", "s3://", "ORG/", "org/", "organisation/", "/data/")
TOO_LONG = ("train", "export", "demo")
_REASON = r"(?:[ ]*<!-- not run: (?P<reason>.+?) -->\n)?"
_FENCE = r"(?P<indent>[ ]*)```(?P<language>python|bash)\n(?P<text>.*?)^[ ]*```$"
_BLOCK = re.compile(f"^{_REASON}{_FENCE}", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """Code in a page, where it begins, and why it is not run, if it is not."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_blocks(page: Path, language: str) -> list[Block]:
    content = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(content):
        if match["language"] == language:
            line = content.count("\n", 0, match.start("text"))
            text = re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
            found.append(Block(page, line, language, text, match["reason"]))
    return found


def commands(block: Block) -> list[list[str]]:
    """The arguments of every `dpiqa` in a block, without what follows in a pipe or goes to a file."""
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|>&;")
        lexer.whitespace_split = True
        words = list(lexer)
        if words[:1] == ["dpiqa"]:
            end = next((index for index, word in enumerate(words) if set(word) <= set("|>&;")), len(words))
            found.append(words[1:end])
    return found


def check_command(arguments: list[str]) -> None:
    """Reads a command line as `dpiqa` does, and does nothing with it."""
    command, rest = typer.main.get_command(app), arguments
    context = command.make_context("dpiqa", [*rest])
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, rest)
        if arguments[0] == "train" and name != "train":
            script = import_module(f"dpiqa.training.scripts.{name}")
            script.make_parser(f"dpiqa train {name}").parse_args_into_dataclasses(rest)
            return
        if hasattr(command, "commands"):
            context = command.make_context(name, [*rest], parent=context)
        else:
            command.make_context(name, [*rest], parent=context)
