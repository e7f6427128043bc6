"""Records HTTP requests and websockets, for every framework and server."""
