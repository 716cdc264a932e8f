"""Training of teachers and students, and distillation."""
