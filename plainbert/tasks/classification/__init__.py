"""Texts or pairs of texts to classes or numbers."""
