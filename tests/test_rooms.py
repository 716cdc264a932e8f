"""Which room may import from which: the architecture, as a test."""

import ast
from pathlib import Path

import pytest

import dpiqa

ROOT = Path(dpiqa.__file__).parent
# A room imports from itself, from the root's own files, and from the rooms that stand here.
MAY_IMPORT = {
    "models": set(),
    "checkpoints": set(),
    "data": {"models"},
    "scoring": {"models", "checkpoints"},
    "culling": {"models", "data", "scoring"},
    "explaining": {"models", "scoring"},
    "hub": {"models"},
    "integrations": {"scoring"},
    "evaluation": {"models", "data", "scoring"},
    "training": {"models", "data", "scoring", "evaluation", "checkpoints"},
    "cli": {
        "models",
        "data",
        "scoring",
        "evaluation",
        "training",
        "hub",
        "checkpoints",
        "demo",
        "culling",
        "explaining",
    },
    "demo": {"models", "data", "scoring", "checkpoints"},
}


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a file imports from, by its relative imports, those inside functions included."""
    package = path.relative_to(ROOT).parts[:-1]
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = [*base, *(node.module or "").split(".")]
            rooms.add(target[0] or node.names[0].name)
    return rooms - {"counting", "extras", "version"}


def test_every_room_is_on_the_map():
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} == MAY_IMPORT.keys()


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room):
    for path in (ROOT / room).rglob("*.py"):
        assert imported_rooms(path) <= MAY_IMPORT[room] | {room}, path.name
