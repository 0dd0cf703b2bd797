"""Several mirrors over one PostgreSQL and one bucket, both real."""
