"""`python -m dpiqa`."""

from .cli import app

app()
