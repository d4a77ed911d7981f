-- `look_at` is when a schedule is due or its reservation ends, in milliseconds. `state` is what is stored of it.
CREATE TABLE schedules (
    queue TEXT,
    name TEXT,
    app TEXT NOT NULL,
    task TEXT NOT NULL,
    look_at INTEGER,
    state BLOB NOT NULL,
    PRIMARY KEY (queue, name)
) WITHOUT ROWID;
CREATE INDEX due_schedules ON schedules (queue, task, look_at);
