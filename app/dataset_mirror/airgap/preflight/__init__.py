"""Asking beforehand: what a script, notebook or list asks for, and what of it a mirror has."""
