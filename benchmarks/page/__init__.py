"""Time the viewer page in a real browser, and rendering libraries beside it."""
