"""THIRD_PARTY.md has every requirement of setup.py, with the licence that its metadata state."""

import contextlib
import re
from importlib.metadata import PackageNotFoundError, distribution
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement

from support.requirements import setup_arguments

TEXT = (Path(__file__).parents[1] / "THIRD_PARTY.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (?!package )([\w-]+) \| ([\w.-]+(?: or [\w.-]+)?)[^|]*\|$", TEXT, re.MULTILINE))
# What the metadata call a licence whose short name they do not have.
SPELLED_OUT = {"PSF": "Python Software Foundation"}


def stated(name: str) -> str:
    """What the installed package says of its licence, in whichever field or file it does."""
    found = distribution(name)
    fields = ("License-Expression", "License", "Classifier")
    lines = [line for field in fields for line in found.metadata.get_all(field) or [] if "Topic ::" not in line]
    files = [file for file in found.files or [] if file.name.upper().startswith("LICENSE")]
    return " ".join([*lines, *(file.read_text() for file in files[:1] if file.locate().is_file())])


def test_every_requirement_has_a_row_and_every_row_is_required():
    arguments = setup_arguments()
    lines = chain(arguments["install_requires"], *arguments["extras_require"].values())
    assert ROWS.keys() == {Requirement(line).name for line in lines}


def test_its_licence_is_what_the_package_states():
    found = {}
    for name, licence in ROWS.items():
        families = [one.split("-")[0] for one in licence.split(" or ")]
        with contextlib.suppress(PackageNotFoundError):  # an extra's
            found[name] = any(SPELLED_OUT.get(family, family) in stated(name) for family in families)
    assert [name for name, is_stated in found.items() if not is_stated] == []
    assert "torch" in found
