"""What the shipped presets are made from; not part of the installed package."""
