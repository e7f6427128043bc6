"""Predicts what a command does under the wrapper, or explains a process; nothing is executed."""
