"""What RFCs decide, sans-IO: pure functions, each with its section."""
