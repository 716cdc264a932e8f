import re
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest

import dpiqa

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs/api").glob("*.md"))
DIRECTIVE = re.compile(r"^::: (\S+)(?:\n +options:\n +members: \[(.+)\])?", re.MULTILINE)


def shown(page: Path) -> list[str]:
    """The names whose docstrings a page of the API shows."""
    names = []
    for name, members in re.findall(
        r"^::: (\S+)(?:\n +options:\n +members: \[(.+)\])?", page.read_text(), re.MULTILINE
    ):
        names += [f"{name}.{member}" for member in members.split(", ")] if members else [name]
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_on_a_page_exists(page):
    assert shown(page)
    for name in shown(page):
        try:
            resolve_name(name)
        except AttributeError:
            import_module(name.rpartition(".")[0])  # says which package is not installed
            raise


def test_every_public_name_is_on_a_page():
    names = {name for page in PAGES for name in shown(page)}
    modules = {name for name in names if not name.rsplit(".", 1)[-1][0].isupper()}
    for public in set(dpiqa.__all__) - {"__version__"}:
        module = getattr(dpiqa, public).__module__
        assert {f"dpiqa.{public}", f"{module}.{public}"} & names or module in modules, f"dpiqa.{public} is on no page"


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs")) in navigation, page
