"""Packages that only some parts need."""


def how_to_install(extra: str) -> str:
    """The command that installs what an extra of setup.py lists; no package index has dpiqa itself yet."""
    return f'pip install ".[{extra}]" in your checkout of dpiqa'
