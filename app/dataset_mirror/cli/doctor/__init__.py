"""`doctor`: the installation, a client of the mirror, and an index that is rebuilt."""
