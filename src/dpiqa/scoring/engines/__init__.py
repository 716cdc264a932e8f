"""Ways to run the scorer over more photos than one process takes."""
