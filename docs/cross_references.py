"""Turns the docstrings' [`name`] into links: names as their module knows them, or public ones."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import griffe

# A bracketed name in backticks that no bracket or parenthesis follows; ~ shows only its last part, as in transformers.
_REFERENCE = re.compile(r"\[`(~?)([\w.]+)`\](?![\[(])")


class CrossReferences(griffe.Extension):
    """Griffe calls it once the package's source is read. Names that are on no page are errors of `mkdocs --strict`."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        for scope in _objects(pkg):
            if scope.docstring:
                scope.docstring.value = _REFERENCE.sub(partial(_link, scope), scope.docstring.value)


def _objects(scope: griffe.Object) -> Iterator[griffe.Object]:
    yield scope
    for member in scope.members.values():
        if isinstance(member, griffe.Object):
            yield from _objects(member)


def _link(scope: griffe.Object, reference: re.Match[str]) -> str:
    short, name = reference.groups()
    text = name.rsplit(".", 1)[-1] if short else name
    return f"[`{text}`][{_path(scope, name)}]"


def _path(scope: griffe.Object, name: str) -> str:
    if name.startswith("dpiqa."):
        return name
    first, *rest = name.split(".")
    try:
        return ".".join([scope.resolve(first), *rest])
    except griffe.NameResolutionError:
        return f"dpiqa.{name}"
