-- Requests to read the files of the operator again, for the processes that share this database
-- (package app). Times are microseconds UTC.

-- One row: the last request. digest identifies what came into force in the process that was asked.
CREATE TABLE reload_request (
	one      BIGINT PRIMARY KEY CHECK (one = 1),
	seq      BIGINT NOT NULL,
	actor    TEXT COLLATE "C" NOT NULL,
	digest   TEXT COLLATE "C" NOT NULL,
	asked_at BIGINT NOT NULL
);

-- What is in force is so for every tenant.
SELECT row_security('reload_request', 'false', '');
