"""What photo teams do with scores."""
