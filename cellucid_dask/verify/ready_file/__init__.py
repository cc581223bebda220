"""Ready files, read without any of the code that writes them."""
