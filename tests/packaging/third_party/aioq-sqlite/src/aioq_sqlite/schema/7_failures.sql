CREATE TABLE failures (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which the jobs ended
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    task TEXT NOT NULL,
    type TEXT NOT NULL,
    place TEXT NOT NULL,
    failed_at REAL NOT NULL,
    failure BLOB NOT NULL,
    job BLOB NOT NULL,  -- the row of the job as it ended
    UNIQUE (queue, id)
);
CREATE INDEX failures_by_cause ON failures (queue, task, type, place, number, failed_at);
CREATE INDEX failures_by_number ON failures (queue, number);
CREATE INDEX failures_by_time ON failures (failed_at);
