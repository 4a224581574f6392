"""Questions and the texts that hold their answers."""
