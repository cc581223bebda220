"""Kill exports at random moments, resume them, and compare what they write."""
