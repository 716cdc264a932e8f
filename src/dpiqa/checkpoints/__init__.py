"""The checkpoints that ship inside the package."""

from pathlib import Path


def bundled_checkpoint() -> Path:
    """Folder of the student that ships inside the package, which every entry point uses when no model is named."""
    return Path(__file__).parent / "dpiqa-student-lite0"
