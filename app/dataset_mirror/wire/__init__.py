"""The HTTP/1.1 connection, TLS beneath it, sendfile, answers from memory, and the server that runs it."""
