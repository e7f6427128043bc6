"""The live page: a service's metrics as a picture, in a browser, without any other server."""
