"""A hook of mkdocs: examples/README.md is the page "Examples"."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\((?!https?://|#)([^)]+)\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the page, which links to other pages where there are some and else to the repository."""

    def target(link: re.Match[str]) -> str:
        path = (ROOT / "examples" / link[1]).resolve().relative_to(ROOT)
        is_page = path.is_relative_to("docs")
        return f"]({path.relative_to('docs') if is_page else f'{config.repo_url}/blob/main/{path}'})"

    text = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "examples.md", content=LINK.sub(target, text)))
    return files
