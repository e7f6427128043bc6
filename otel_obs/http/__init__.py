"""What one HTTP request records, whatever framework or server carried it."""
