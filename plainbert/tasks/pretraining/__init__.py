"""Raw text to masked sentence pairs, and the scores of a BERT that learns from them."""
