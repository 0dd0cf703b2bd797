"""The tables of the shared database, as numbered migrations. Times are the database's own: no mirror's clock matters."""

from dataset_mirror.store.shared.database import Session, Unavailable

_LOCK = -8401
"""Advisory lock of migrations; those of mirrors are positive."""
TTL = 4
"""Seconds without a life sign after which a mirror counts as dead."""

_FACTS = """
    sha256 text NOT NULL, size bigint NOT NULL, fetched double precision NOT NULL, line text NOT NULL
"""
_FIRST = f"""
CREATE TABLE version (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), value bigint NOT NULL, database bigint NOT NULL);
INSERT INTO version (value, database) VALUES (0, floor(random() * 9e15)::bigint);
CREATE SEQUENCE tokens;
CREATE SEQUENCE lives;
CREATE TABLE mirrors (
    id text COLLATE "C" PRIMARY KEY, url text NOT NULL, secret text NOT NULL, alive bigint NOT NULL,
    began timestamptz NOT NULL, seen timestamptz NOT NULL, program text NOT NULL, state jsonb NOT NULL
);
CREATE TABLE leases (
    key text COLLATE "C" PRIMARY KEY, token bigint NOT NULL, holder text COLLATE "C" NOT NULL, since timestamptz NOT NULL
);
CREATE TABLE objects (
    object text COLLATE "C" PRIMARY KEY, sha256 text COLLATE "C" NOT NULL, size bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('uploading', 'kept', 'gone')), holder text COLLATE "C" NOT NULL, since timestamptz NOT NULL
);
CREATE UNIQUE INDEX objects_kept ON objects (sha256) WHERE state = 'kept';
CREATE INDEX objects_passing ON objects (state, since) WHERE state <> 'kept';
CREATE TABLE versions (
    key text COLLATE "C" NOT NULL, {_FACTS}, PRIMARY KEY (key, sha256)
);
CREATE INDEX versions_by_blob ON versions (sha256);
CREATE TABLE changes (key text COLLATE "C" PRIMARY KEY, seq bigint NOT NULL, by text NOT NULL);
CREATE UNIQUE INDEX changes_in_order ON changes (seq);

-- Whether a mirror lives: it gave a sign of late, and its session holds its lock. A database that has just started knows nothing
-- of locks yet: those who gave a sign before get some time to come back.
CREATE FUNCTION lives(one mirrors) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN one.seen < pg_postmaster_start_time() THEN pg_postmaster_start_time() > clock_timestamp() - interval '{TTL} s'
        WHEN one.seen < clock_timestamp() - interval '{TTL} s' THEN false
        ELSE EXISTS (
            SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (classid::bigint << 32) + objid::bigint = one.alive
        )
    END
$$;
"""
MIGRATIONS = (_FIRST,)
"""The first makes version 1 of an empty database."""


async def migrate(session: Session) -> None:
    """Brings the database to the present schema; several mirrors may come at once. Unavailable if a later program made it."""
    async with session.transaction():
        await session.run("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": _LOCK})
        await session.run("CREATE TABLE IF NOT EXISTS schema_version (value integer NOT NULL)")
        rows = await session.run("SELECT value FROM schema_version")
        known = rows[0]["value"] if rows else 0
        if known > len(MIGRATIONS):
            raise Unavailable(f"it has schema {known}, and this program knows {len(MIGRATIONS)}: use the version that made it")
        for statements in MIGRATIONS[known:]:
            await session.run(statements)
        if not rows:
            await session.run("INSERT INTO schema_version VALUES (%(value)s)", {"value": len(MIGRATIONS)})
        elif known < len(MIGRATIONS):
            await session.run("UPDATE schema_version SET value = %(value)s", {"value": len(MIGRATIONS)})
