-- What was done, by whom and when. Numbers only grow.
CREATE TABLE revisions (
    revision INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL,
    author TEXT NOT NULL,
    message TEXT NOT NULL,
    seconds INTEGER NOT NULL,
    nanos INTEGER NOT NULL,
    apply_id TEXT UNIQUE,
    allow_mass_removal INTEGER NOT NULL
) STRICT;

-- Which resources a revision changed.
CREATE TABLE changes (
    revision INTEGER NOT NULL REFERENCES revisions (revision) ON DELETE CASCADE,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    action INTEGER NOT NULL,
    PRIMARY KEY (revision, kind, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX changes_of_resource ON changes (kind, name, revision);

-- Encoded resources by their SHA-256.
CREATE TABLE blobs (
    digest BLOB PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

-- Which content a resource had, from revision `since` until just before `until`;
-- the present one has no `until`. So a revision costs what it changes, not what
-- it holds.
CREATE TABLE entries (
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    digest BLOB NOT NULL REFERENCES blobs (digest),
    PRIMARY KEY (kind, name, since)
) STRICT, WITHOUT ROWID;

CREATE INDEX entries_by_end ON entries (until);
CREATE INDEX entries_by_content ON entries (digest);

PRAGMA user_version = 1;
