"""Looking after what is kept: which archives are meant, removing, collecting garbage, verifying, explaining."""
