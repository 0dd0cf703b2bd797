"""What several mirrors share: PostgreSQL for what all know, a bucket for what all keep. Loaded only where it is configured."""
