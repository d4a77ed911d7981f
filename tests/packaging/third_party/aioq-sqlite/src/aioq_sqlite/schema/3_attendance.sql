-- What the workers of an app fire, and until when they are taken to be up.
CREATE TABLE attendance (
    app TEXT, worker_id TEXT, fires TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (app, worker_id)
) WITHOUT ROWID;
