"""One process's numbers in shared memory, and everybody's merged into one view."""
