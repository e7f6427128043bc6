"""Pages of metrics that somebody exposes, ours or not: get them, read them, say what is wrong with them."""
