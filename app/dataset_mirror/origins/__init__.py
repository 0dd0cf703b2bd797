"""What may be mirrored: identity of archives, origins, catalog, routing. No I/O but reading presets."""
