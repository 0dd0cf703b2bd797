"""Bundles: BagIt bags (RFC 8493) that carry archives across the gap, written and taken in."""
