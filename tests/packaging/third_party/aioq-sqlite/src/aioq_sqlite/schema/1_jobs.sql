-- The partial indexes hold the jobs of one kind in the order in which they are asked for, and nothing else.

CREATE TABLE jobs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    queue TEXT NOT NULL,
    task TEXT NOT NULL,
    payload BLOB NOT NULL,
    priority INTEGER NOT NULL,
    max_crashes INTEGER NOT NULL,
    enqueued_at REAL NOT NULL,
    expires_at REAL,
    headers TEXT,
    state TEXT NOT NULL,
    run_at REAL NOT NULL,
    place REAL NOT NULL,  -- run_at, or 0 at the front
    turn INTEGER NOT NULL,  -- the order of jobs with the same place, and of the leases of one claim
    epoch INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    hand_backs INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    probation REAL NOT NULL DEFAULT 0,
    crashed_since REAL NOT NULL DEFAULT 0,
    ran REAL NOT NULL DEFAULT 0,  -- how long it had run at the crash for which it waits
    alone INTEGER NOT NULL DEFAULT 0,
    worker_id TEXT,
    request_id TEXT,
    started_at REAL,
    deadline REAL,
    finished_at REAL,
    forget_at REAL,
    awaited INTEGER NOT NULL DEFAULT 0,  -- whether a client waits for its end
    result BLOB,
    failure BLOB,
    reason TEXT,
    UNIQUE (queue, id)
);
CREATE INDEX ready ON jobs (queue, priority DESC, place, turn) WHERE state = 'pending' AND crashes = 0;
CREATE INDEX crashed ON jobs (queue, crashes) WHERE state = 'pending' AND crashes > 0;
CREATE INDEX waiting ON jobs (run_at) WHERE state IN ('scheduled', 'retrying');
CREATE INDEX leased ON jobs (queue, deadline) WHERE state = 'running';
CREATE INDEX claimed ON jobs (worker_id, request_id) WHERE state = 'running';
CREATE INDEX ended ON jobs (forget_at) WHERE forget_at IS NOT NULL;
CREATE INDEX by_state ON jobs (queue, state);

-- One number for each turn that was given.
CREATE TABLE turns (latest INTEGER NOT NULL);
INSERT INTO turns VALUES (0);

-- A queue that has held a job stays here for good, so that it is listed. Others have signs of life only.
CREATE TABLE queues (
    name TEXT PRIMARY KEY, held_jobs INTEGER NOT NULL DEFAULT 0, signs BLOB, room BLOB
) WITHOUT ROWID;

CREATE TABLE crashed_workers (
    queue TEXT, worker_id TEXT, at REAL NOT NULL, PRIMARY KEY (queue, worker_id)
) WITHOUT ROWID;

CREATE TABLE claims (
    worker_id TEXT, request_id TEXT, at REAL NOT NULL, alone_for REAL NOT NULL, PRIMARY KEY (worker_id, request_id)
) WITHOUT ROWID;

CREATE TABLE workers (id TEXT PRIMARY KEY, info BLOB NOT NULL, until REAL NOT NULL) WITHOUT ROWID;

-- AUTOINCREMENT: a number must not come twice, because listeners go by the latest number that they have read.
CREATE TABLE signals (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL
);
