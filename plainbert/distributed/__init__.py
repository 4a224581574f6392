"""Many processes as one run: who they are, what they exchange, how they end together."""
