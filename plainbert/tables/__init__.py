"""Tables of every kind that callers in Python hold, as the rows of a task."""
