"""What a process sends of its own accord: metrics by its readers, and spans."""
