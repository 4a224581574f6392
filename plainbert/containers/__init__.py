"""Files that hold other things, byte by byte: archives, tables, pickles read as data."""
