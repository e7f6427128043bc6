"""What will happen, or happens, where a command runs under the wrapper; nothing is run for the answer."""
