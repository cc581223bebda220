"""An export compared with its source: everything is derived again, in plain numpy."""
