"""How bytes come in: the way to the origins, one fill per archive, retries."""
