"""The tests. Each module says in its first line what it holds the program to."""

import os
import sys

# What was compiled once is not compiled again by every worker, mirror and command; git ignores where it is kept.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Clients that compute nothing need no threads for it, which each of them would start.
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
