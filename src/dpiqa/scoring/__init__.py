"""Photos in, scores out: the scorer, its files, quality maps and the quality loss."""
