"""The page of the Cellucid site, fetched, cached by its build, and served from here."""
