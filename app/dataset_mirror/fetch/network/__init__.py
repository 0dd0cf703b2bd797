"""The network below httpx: names, connections and the streams that bytes come in by.

Which calls here may block, where they do, and who waits: look-ups of names, in at most `names.MOST` threads of their own, waited
for by whoever asked for that name; decrypting of what has arrived, in `tls.STEPS` threads, never on the network. Nothing here uses
asyncio's default executor, in which files are read and made durable.
"""
