"""`python -m dataset_mirror.cli`: the same as the console script."""

from dataset_mirror.cli import main

main()
