"""Arguments of the Python functions: their types, and messages that use their names."""
