"""CONNECT: interception, tunnels, relays, and the certificate authority."""
