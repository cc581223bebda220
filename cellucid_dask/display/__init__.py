"""What a notebook shows of this package, and whether there is a notebook. It imports nothing."""
