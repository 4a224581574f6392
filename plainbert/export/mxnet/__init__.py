"""Export to Apache MXNet."""
