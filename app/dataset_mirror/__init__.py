"""dataset-mirror: dataset archives, fetched once, verified, kept, and served at the URLs that clients already ask for."""
