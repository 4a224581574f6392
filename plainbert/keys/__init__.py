"""The small JSON files of model folders: their keys, the values they take, what becomes of each."""
