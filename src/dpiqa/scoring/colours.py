"""The colours of quality maps, the app and the report."""

from __future__ import annotations

# Bad, middling, good: told apart with every kind of colour vision, and in grey.
BAD, MIDDLING, GOOD = "#8e0152", "#f7f7f7", "#276419"
# Lines and controls, with enough contrast on a light page and on a dark one; and the edge of what says an error.
ACCENT, ACCENT_ON_DARK, ERROR = GOOD, "#8fce6a", "#b45309"

# Declarations for a style sheet, to stand inside a selector.
CSS_VARIABLES = " ".join(
    f"--dpiqa-{name}: {colour};"
    for name, colour in {
        "bad": BAD,
        "middling": MIDDLING,
        "good": GOOD,
        "accent": ACCENT,
        "accent-on-dark": ACCENT_ON_DARK,
        "error": ERROR,
    }.items()
)
