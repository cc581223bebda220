"""The files of an export, read without any of the code that writes them."""
