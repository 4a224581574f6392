"""A tag for every word of a sentence: entities, parts of speech, punctuation."""
