"""What several recipes share: flags, start, model, vocabulary, ranks."""
