"""Scores of whole evaluation sets: one file per kind of answer."""
