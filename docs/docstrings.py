"""Our docstrings are written as those of transformers; this turns what is peculiar to them into Markdown."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import griffe

# [`name`], that no bracket or parenthesis follows; ~ shows only the last part of the name.
_REFERENCE = re.compile(r"\[`(~?)([\w.]+)`\](?![\[(])")
# The type of an argument, in parentheses: name (`"a"` or `"b"`, *optional*, defaults to `"a"`): what it is.
_TYPE = re.compile(r"^( +\w+ )(\(.+?\)):", re.MULTILINE)


class TransformersDocstrings(griffe.Extension):
    """Griffe calls it once it has read the package. Names that are on no page are errors of `mkdocs --strict`."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        for scope in _objects(pkg):
            if scope.docstring:
                text = _TYPE.sub(_plain_type, scope.docstring.value).replace("Example:\n", "Examples:\n")
                scope.docstring.value = _REFERENCE.sub(partial(_link, scope), text)


def _objects(scope: griffe.Object) -> Iterator[griffe.Object]:
    yield scope
    for member in scope.members.values():
        if isinstance(member, griffe.Object):
            yield from _objects(member)


def _plain_type(argument: re.Match[str]) -> str:
    # The page shows the whole of it as code, where marks would stay as they are.
    name, its_type = argument.groups()
    plain = _REFERENCE.sub(r"\2", its_type).replace("`", "").replace("*", "")
    return f"{name}{plain}:"


def _link(scope: griffe.Object, reference: re.Match[str]) -> str:
    short, name = reference.groups()
    text = name.rsplit(".", 1)[-1] if short else name
    return f"[`{text}`][{_path(scope, name)}]"


def _path(scope: griffe.Object, name: str) -> str:
    """Where a name is defined, if it is: that is what every version of mkdocstrings knows it by."""
    first, *rest = name.split(".")
    try:
        path = name if first == "dpiqa" else ".".join([scope.resolve(first), *rest])
    except griffe.NameResolutionError:
        path = f"dpiqa.{name}"
    try:
        return scope.modules_collection[path].canonical_path
    except (KeyError, griffe.AliasResolutionError):
        return path
