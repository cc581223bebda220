"""What a ready file will hold, and everything that can be wrong with it."""
