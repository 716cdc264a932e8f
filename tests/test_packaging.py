"""setup.py says what the code needs and ships."""

import ast
import re
import sys
from pathlib import Path

import pytest

import dpiqa
from support.requirements import setup_arguments

PACKAGE = Path(dpiqa.__file__).parent
SETUP = setup_arguments()
EXTRAS = {extra: SETUP["extras_require"][extra] for extra in ("demo", "eval", "lora", "heif")}
# Modules whose distribution has another name.
DISTRIBUTION_OF = {"PIL": "pillow", "yaml": "pyyaml"}
CODE = list(PACKAGE.rglob("*.py"))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!\[ ;]", line)[0].replace("-", "_").lower() for line in requirements}


def imports(path: Path) -> set[str]:
    """The distributions that a file imports from, inside functions and for type checkers too."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module.split(".")[0])
    ours = {*sys.stdlib_module_names, "dpiqa"}
    return {DISTRIBUTION_OF.get(name, name).lower() for name in modules - ours}


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_import_is_declared(path):
    declared = names(SETUP["install_requires"]).union(*map(names, EXTRAS.values()))
    assert imports(path) <= declared


def test_every_file_of_the_package_is_shipped():
    patterns = SETUP["package_data"]["dpiqa"]
    shipped = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    present = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert present - shipped - set(CODE) == set()


def test_every_pattern_finds_a_file():
    for pattern in SETUP["package_data"]["dpiqa"]:
        assert list(PACKAGE.glob(pattern)), pattern


def test_every_folder_with_code_is_a_package():
    assert {path.parent for path in CODE} == {path.parent for path in PACKAGE.rglob("__init__.py")}
