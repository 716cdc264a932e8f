"""Counts in messages."""


def counted(number: int, thing: str) -> str:
    """A number with its noun, which takes an s unless there is one of it: "1 photo", "2 photos"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
