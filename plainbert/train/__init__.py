"""One training loop, its optimizers, schedules and records."""
