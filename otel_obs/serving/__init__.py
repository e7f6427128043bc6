"""A port of its own for `/metrics`, and the files that guard a page."""
