"""HTTP: the socket, the checks of a request, and the body of a response."""
