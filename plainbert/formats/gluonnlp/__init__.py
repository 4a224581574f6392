"""GluonNLP's and MXNet's files of weights and vocabularies, read and written."""
