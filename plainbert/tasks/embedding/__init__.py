"""Vectors of texts and of words."""
