"""Strings to ids and back: vocabularies, WordPiece, SentencePiece, offsets. Never imports torch."""
