"""What sparklio measures."""
