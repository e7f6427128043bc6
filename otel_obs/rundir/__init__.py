"""Which service a process belongs to, the directory that its workers share, and how long that lives."""

FILES_VERSION = 3
"""Of the files that workers share; those of another version cannot be read, and lie elsewhere."""
