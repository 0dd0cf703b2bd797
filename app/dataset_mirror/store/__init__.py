"""Where bytes and facts live: blobs, partial files, the index, its journal, the tree for people."""
