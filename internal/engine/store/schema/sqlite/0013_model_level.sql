-- How able the processes are that ask models (package gateway/models). Times are microseconds
-- UTC.

-- One row per such process, renewed while it lives, for the processes that decide without
-- asking models themselves.
CREATE TABLE model_level (
	gateway     TEXT    PRIMARY KEY,
	level       TEXT    NOT NULL,
	reported_at INTEGER NOT NULL
);
