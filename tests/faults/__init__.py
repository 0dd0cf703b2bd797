"""A mirror among faults: origins, clients, processes, disks and clocks that fail at random, and what its clients got meanwhile.

`python -m tests.faults --seconds 600 --seed 7 --clients 64`: a seed always plans the same steps. In each step some origins, clients
and perhaps the process, disk or clock fail together; then the faults end, and every archive has to be there and right, asked for by
clients that check nothing: what ends well must be, byte for byte, what the origin had.
"""
