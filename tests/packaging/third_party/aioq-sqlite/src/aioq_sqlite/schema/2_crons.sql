CREATE TABLE app_versions (app TEXT PRIMARY KEY, version TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;

-- An entry is here from the first call that names it; `app` is empty until an app has registered it.
CREATE TABLE entries (
    queue TEXT,
    name TEXT,
    app TEXT NOT NULL,
    touched_at REAL NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (queue, name)
) WITHOUT ROWID;

-- Ticks are in milliseconds. The owner is the worker, if each worker fires the entry.
CREATE TABLE ticks (
    queue TEXT,
    name TEXT,
    tick INTEGER,
    owner TEXT,
    record BLOB NOT NULL,
    PRIMARY KEY (queue, name, tick, owner)
) WITHOUT ROWID;
