"""Which service a process belongs to, the directory that its workers share, and how long that lives."""

FILES_VERSION = 3
"""The version of the shared files. It is part of the directory's name: no directory has files of two."""
