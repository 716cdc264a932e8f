"""How well scores agree with opinion scores."""
