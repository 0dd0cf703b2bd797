"""The mechanisms that make clients of a hub work, by plain requests to a mirror of the imitated one."""
