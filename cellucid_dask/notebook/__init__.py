"""The page in a notebook: a server in the background, and a frame that shows it."""
