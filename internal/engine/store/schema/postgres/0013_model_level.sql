-- How able the processes are that ask models (package gateway/models). Times are microseconds
-- UTC.

-- One row per such process, renewed while it lives, for the processes that decide without
-- asking models themselves.
CREATE TABLE model_level (
	gateway     TEXT COLLATE "C" PRIMARY KEY,
	level       TEXT COLLATE "C" NOT NULL,
	reported_at BIGINT NOT NULL
);

SELECT row_security('model_level', 'true', 'SELECT');
