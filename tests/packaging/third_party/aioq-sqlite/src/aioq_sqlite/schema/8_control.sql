-- The orders of persons. A paused queue is an order without a task.
CREATE TABLE stops (
    queue TEXT, task TEXT, stop BLOB NOT NULL, PRIMARY KEY (queue, task)
) WITHOUT ROWID;

CREATE TABLE changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, change BLOB NOT NULL
);

-- While tasks of a queue are stopped, claims look for the jobs of the others task by task.
CREATE INDEX ready_by_task ON jobs (queue, task, priority DESC, place, turn) WHERE state = 'pending' AND crashes = 0;
