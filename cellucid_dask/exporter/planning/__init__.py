"""How the work is cut, and the memory and disk space that it takes."""
