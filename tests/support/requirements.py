"""What setup.py asks for: `python tests/support/requirements.py dev` prints the lowest version of everything."""

import ast
import re
import runpy
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

ROOT = Path(__file__).parents[2]
# Modules whose distribution has another name.
DISTRIBUTION_OF = {"PIL": "pillow", "yaml": "pyyaml", "data_juicer": "py_data_juicer"}
MODULE_OF = {distribution: module for module, distribution in DISTRIBUTION_OF.items()}


def setup_arguments() -> dict:
    """What setup.py hands to `setup()`; setuptools itself is not needed."""
    arguments = {}
    stub = SimpleNamespace(find_packages=lambda where: [], setup=arguments.update)
    with patch.dict(sys.modules, setuptools=stub):
        runpy.run_path(str(ROOT / "setup.py"))
    return arguments


def names(requirements: list[str]) -> set[str]:
    """The distributions that requirements name, as their modules are called."""
    return {re.split(r"[<>=!\[ ;]", line)[0].replace("-", "_").lower() for line in requirements}


def imports(nodes: Iterable[ast.AST]) -> set[str]:
    """The distributions that the import statements among the nodes of a file name."""
    modules = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module.split(".")[0])
    ours = {*sys.stdlib_module_names, "dpiqa"}
    return {DISTRIBUTION_OF.get(name, name).lower() for name in modules - ours}


def missing_extras() -> set[str]:
    """The packages of extras that are not installed."""
    arguments = setup_arguments()
    optional = set().union(*map(names, arguments["extras_require"].values())) - names(arguments["install_requires"])
    return {name for name in optional if find_spec(MODULE_OF.get(name, name)) is None}


def lowest(*extras: str) -> list[str]:
    """The core requirements and those of the extras, every `>=` turned into `==`."""
    arguments = setup_arguments()
    wanted = [arguments["install_requires"], *(arguments["extras_require"][extra] for extra in extras)]
    return [line.replace(">=", "==") for line in dict.fromkeys(chain(*wanted))]


if __name__ == "__main__":
    print("\n".join(lowest(*sys.argv[1:])))
