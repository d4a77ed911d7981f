CREATE TABLE IF NOT EXISTS jobs (
    number      INTEGER PRIMARY KEY,    -- the order in which jobs were enqueued
    id          TEXT NOT NULL,
    queue       TEXT NOT NULL,
    task        TEXT NOT NULL,
    payload     BLOB NOT NULL,
    priority    INTEGER NOT NULL,
    max_crashes INTEGER NOT NULL,
    enqueued_at REAL NOT NULL,
    state       TEXT NOT NULL,
    run_at      REAL NOT NULL,          -- when the job came due, or will
    expires_at  REAL,                   -- after which it is not to start; NULL once it was started
    headers     TEXT,                   -- as JSON; NULL if it has none
    epoch       INTEGER NOT NULL DEFAULT 0,
    attempt     INTEGER NOT NULL DEFAULT 0,
    crashes     INTEGER NOT NULL DEFAULT 0,
    hand_backs  INTEGER NOT NULL DEFAULT 0,
    worker_id   TEXT,
    request_id  TEXT,                   -- the claim that the lease belongs to
    deadline    REAL,                   -- when the lease runs out
    started_at  REAL,
    finished_at REAL,
    forget_at   REAL,                   -- when the record of an ended job is deleted
    result      BLOB,
    failure     TEXT,
    reason      TEXT,
    UNIQUE (queue, id)
);
CREATE INDEX IF NOT EXISTS jobs_in_line ON jobs (queue, state, priority DESC, run_at, number);
CREATE INDEX IF NOT EXISTS jobs_to_forget ON jobs (forget_at) WHERE forget_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS queues (name TEXT PRIMARY KEY);

CREATE TABLE IF NOT EXISTS claims (
    worker_id  TEXT PRIMARY KEY,
    request_id TEXT NOT NULL,
    made_at    REAL NOT NULL
);

CREATE TABLE IF NOT EXISTS signs (
    queue TEXT PRIMARY KEY,
    signs BLOB NOT NULL                 -- aioq.model.outage.SignsOfLife as JSON
);
