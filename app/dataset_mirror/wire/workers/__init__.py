"""More than one process: `serve --workers N`. One fills, and owns the data folder as if it were alone; the others answer hits.

Each process has a listening socket of its own at the same port, among which the kernel spreads connections (`listening`). A
worker reads the index by itself, so it sees each change as soon as that is committed, and answers plain hits from the blobs.
Whatever else is asked of it goes to the filling process as it is, as ASGI over a Unix socket (`remote`): the filling process
decides, the worker writes what it says, by the same code as if both were one, so that bodies end truthfully whoever answers.
Parts of files are handed over as descriptors; their bytes do not pass through that socket.

    channel    messages and descriptors over a Unix socket
    counts     what a worker answered, for the totals of the filling process
    crew       the filling process' side: it starts workers, stops them, and tells them what all have to do at one moment
    hits       what a worker answers by itself
    keeper     the small process that forks workers, at the start and whenever one has died
    listening  a socket for each process
    remote     requests from process to process
    worker     a worker's side
"""
