"""Crossing the air gap: what is wanted, bundles that carry archives, asking beforehand, files that people already have."""
