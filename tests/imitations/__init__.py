"""Imitations of well-known origins, one file per URL space, faithful to their headers; their servers are real."""
