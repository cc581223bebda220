"""The sheet of thumbnails of an export."""
