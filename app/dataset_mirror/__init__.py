"""dataset-mirror: dataset archives, fetched once, verified, kept, and served at the URLs that clients already ask for.

This is the map. The promise behind all of it: no client ever gets wrong or short bytes that look complete.

Rooms, from the outside in; imports go down this list only, which import-linter checks:

    cli       commands: one file per verb, `demo` and `doctor` are folders
    main      `create_app(settings)`: the one place where the parts are wired together
    status    what people see: pages, JSON, metrics, the API that changes the mirror, `/setup.sh`
    doors     CONNECT: hosts that we answer for over TLS, tunnels, relays, and the certificate authority
    wire      the HTTP/1.1 connection, run by uvicorn: parsing, framing, TLS, sendfile, limits, answers from memory, how it ends;
              `workers` is a folder: more processes than one
    serve     how a request is answered: the gateway, answers, heads, bodies, who may have and who may change what
    airgap    crossing the gap: the wanted list, bundles, asking beforehand, files that people already have
    upkeep    looking after what is kept: verify, garbage, removal, the checks of `doctor`
    mirror    the heart: resolve → look up → have it? serve it. Missing? join the fill, or start one
    fetch     how bytes come in: one fill per archive, retries, eviction
    store     where bytes and facts are kept: blobs, partial files, the index, its journal, the tree for people
    settings  mirror.toml, DATASET_MIRROR_* variables and flags, in that order; the last one wins
    origins   what may be mirrored, and which archive a URL means; presets with their catalogs
    rules     what RFCs decide, as pure functions: ranges, conditions, freshness, header fields
    errors    the tree of errors; each has its status, its problem type and a hint

The way of a request. `wire` reads it from the socket; what came by CONNECT was let in by `doors`. A small archive that is asked
for often is answered from memory right there. Everything else goes to the gateway in `serve`: `origins` say whether the target
is an archive, a page or neither; pages and the API are `status` (FastAPI), an archive is for `mirror`. That asks the index in
`store`: a hit is answered at once, and its age is checked in the background. A miss joins the archive's fill in `fetch` and
follows it. With several processes, those that do not fill answer plain hits by themselves, and let the filling one answer the rest
(`wire/workers`). `rules` turn the request's fields into a status and a range, and `serve` writes the head and the body.

The way of a byte. In `fetch`, under a Fill (the story of one download), a Source says where an archive's bytes can be asked for,
a Transfer is one connection that brings them, and an Intake writes them into the partial file, hashes them and wakes those who
follow. When all are there the fill holds them against length, digest and type, and `store` publishes the file: fsync, rename onto
the blob's name, fsync of the folder, the row in the index, a line in the journal. The last 64 KiB of every answer wait for that.
On the way out the kernel sends them from the file to the socket (`wire/sendfile`); over TLS Python does (`serve/body`).

Where to find:

    the reset of a body that failed               `wire/line` arms it and lets it go off; TLS has an alert, `wire/tls`
    the rule that a 206 needs the same validator  from origins `fetch/resume` (else start over, never splice), to clients `rules/conditions`
    how long a client may be silent, and how many `wire/crowd`
    what a page shows, and what its clicks do     `status/pages`; whose path it is, if an origin has it, too: `status/own`
    where a route gets the mirror from            `status/here`; all routes together: `status/app`
    what a kill cut off, and who completes it     `store/ledger`
    what makes room                               `fetch/eviction` for a fill, `upkeep/garbage` for `gc`; `store/space` counts
    who may call /api/, who may have gated data   `serve/access`
    what a bundle may not contain                 in: `airgap/bundle/judging`; out: `cli/export` (no gated archives unless told)
    what several mirrors share                    `store/shared`: the database, the bucket; `fetch/shared`: whom a fill asks
    which hosts are asked, which addresses never  `origins/model`; `fetch/addresses` looks where the connection is made
    when kept bytes are still the origin's        `rules/sameness`
    what a certificate of ours can sign for       `doors/certificates`
    what a worker answers by itself               `wire/workers/hits`; how the rest crosses over: `wire/workers/remote`
"""
