"""What every script shares: flags, start, errors."""
