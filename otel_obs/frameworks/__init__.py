"""Web frameworks besides Flask and FastAPI: one file each, and one row each in `known.FRAMEWORKS`."""
