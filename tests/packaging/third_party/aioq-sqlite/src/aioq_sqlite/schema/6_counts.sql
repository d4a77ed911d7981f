-- Counts of jobs by series and period, the series, and the latest report of each process that counts.
CREATE TABLE counts (
    queue TEXT NOT NULL,
    task TEXT NOT NULL,
    outcome TEXT NOT NULL,
    step INTEGER NOT NULL,
    start INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (queue, task, outcome, step, start)
) WITHOUT ROWID;
CREATE INDEX counts_by_period ON counts (step, start);
CREATE TABLE reports (reporter TEXT PRIMARY KEY, number INTEGER NOT NULL, at REAL NOT NULL);
