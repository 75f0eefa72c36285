-- Who is let in. Of a token there is only the SHA-256 of its secret; a
-- certificate's name has none. Times are seconds since 1970.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    certificate TEXT NOT NULL,
    digest BLOB NOT NULL,
    grants BLOB NOT NULL,
    created INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires INTEGER,
    revoked INTEGER,
    last_used INTEGER
) STRICT, WITHOUT ROWID;

-- What was done and refused. Numbers are never used again.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    seconds INTEGER NOT NULL,
    nanos INTEGER NOT NULL,
    subject TEXT NOT NULL,
    method TEXT NOT NULL,
    source TEXT NOT NULL,
    action TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    detail TEXT NOT NULL,
    revision INTEGER NOT NULL,
    changes BLOB NOT NULL
) STRICT;

CREATE INDEX audit_by_subject ON audit (subject, id);
CREATE INDEX audit_by_verdict ON audit (allowed, id);

-- Which resources an entry concerns.
CREATE TABLE audit_resources (
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    entry INTEGER NOT NULL REFERENCES audit (id) ON DELETE CASCADE,
    PRIMARY KEY (kind, name, entry)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_resources_by_entry ON audit_resources (entry);

PRAGMA user_version = 2;
