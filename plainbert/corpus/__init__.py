"""Raw text to documents, to instances with masks, to shards."""
