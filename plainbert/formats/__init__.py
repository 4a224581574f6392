"""Weight formats of other systems, each a table of names and a reader and writer of its files."""
