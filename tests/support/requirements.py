"""What setup.py asks for: `python tests/support/requirements.py dev` prints the lowest version of everything."""

import runpy
import sys
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

ROOT = Path(__file__).parents[2]


def setup_arguments() -> dict:
    """What setup.py hands to `setup()`; setuptools itself is not needed."""
    arguments = {}
    stub = SimpleNamespace(find_packages=lambda where: [], setup=arguments.update)
    with patch.dict(sys.modules, setuptools=stub):
        runpy.run_path(str(ROOT / "setup.py"))
    return arguments


def lowest(*extras: str) -> list[str]:
    """The core requirements and those of the extras, every `>=` turned into `==`."""
    arguments = setup_arguments()
    wanted = [arguments["install_requires"], *(arguments["extras_require"][extra] for extra in extras)]
    return [line.replace(">=", "==") for line in dict.fromkeys(chain(*wanted))]


if __name__ == "__main__":
    print("\n".join(lowest(*sys.argv[1:])))
