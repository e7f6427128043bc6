"""Web frameworks beside Flask and FastAPI: one file each, and one row each in `table`."""
