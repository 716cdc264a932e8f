"""Checkpoints to and from the Hub."""
