"""What people who look through many photos do with the scores: bursts, and a report to cull by."""
