-- Requests to read the files of the operator again, for the processes that share this database
-- (package app). Times are microseconds UTC.

-- One row: the last request. digest identifies what came into force in the process that was asked.
CREATE TABLE reload_request (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	seq      INTEGER NOT NULL,
	actor    TEXT    NOT NULL,
	digest   TEXT    NOT NULL,
	asked_at INTEGER NOT NULL
);
