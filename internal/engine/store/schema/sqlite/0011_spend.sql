-- What calls to language models cost (package llm/spend). Money is micro-USD, times are
-- microseconds UTC, a month is year * 12 + month - 1, an hour is seconds since 1970 / 3600.

-- One row per attempt, written before it is made. An open row counts with what it reserved; one
-- that nobody booked counts with that for ever (lapsed).
CREATE TABLE spend_call (
	seq             INTEGER PRIMARY KEY AUTOINCREMENT,
	owner           TEXT    NOT NULL, -- the process that reserved
	state           TEXT    NOT NULL CHECK (state IN ('open', 'booked', 'lapsed')),
	tenant          TEXT    NOT NULL,
	investigation   TEXT    NOT NULL, -- empty for none
	task            TEXT    NOT NULL,
	tier            TEXT    NOT NULL,
	provider        TEXT    NOT NULL,
	model           TEXT    NOT NULL, -- as asked
	answered        TEXT    NOT NULL DEFAULT '',
	terms           INTEGER NOT NULL, -- 1 batch, 2 cache of an hour
	month           INTEGER NOT NULL,
	hour            INTEGER NOT NULL,
	reserved_at     INTEGER NOT NULL,
	lease_until     INTEGER NOT NULL,
	reserved_micro  INTEGER NOT NULL CHECK (reserved_micro >= 0),
	reserved_tokens INTEGER NOT NULL CHECK (reserved_tokens >= 0),
	basis           TEXT    NOT NULL DEFAULT '' CHECK (basis IN ('', 'measured', 'estimated', 'unknown')),
	outcome         TEXT    NOT NULL DEFAULT '', -- ok, or the kind of the error
	booked_at       INTEGER NOT NULL DEFAULT 0,
	cost_micro      INTEGER NOT NULL DEFAULT 0,
	tokens          INTEGER NOT NULL DEFAULT 0,
	input_tokens    INTEGER NOT NULL DEFAULT 0,
	output_tokens   INTEGER NOT NULL DEFAULT 0,
	cache_read      INTEGER NOT NULL DEFAULT 0,
	cache_write     INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX spend_call_open ON spend_call (lease_until) WHERE state = 'open';
CREATE INDEX spend_call_investigation ON spend_call (tenant, investigation);
CREATE INDEX spend_call_time ON spend_call (reserved_at);

-- What the caps are checked against. scope: investigation, tenant_hour, tenant_month, month.
CREATE TABLE spend_sum (
	scope           TEXT    NOT NULL,
	tenant          TEXT    NOT NULL, -- empty for month
	subject         TEXT    NOT NULL, -- the investigation, else empty
	period          INTEGER NOT NULL, -- the hour or month, else 0
	calls           INTEGER NOT NULL,
	booked_micro    INTEGER NOT NULL,
	booked_tokens   INTEGER NOT NULL,
	reserved_micro  INTEGER NOT NULL,
	reserved_tokens INTEGER NOT NULL,
	PRIMARY KEY (scope, tenant, subject, period)
) WITHOUT ROWID;

-- What reports are made of: everything that was booked, without reservations.
CREATE TABLE spend_total (
	month         INTEGER NOT NULL,
	tenant        TEXT    NOT NULL,
	tier          TEXT    NOT NULL,
	provider      TEXT    NOT NULL,
	model         TEXT    NOT NULL, -- that answered, else as asked
	task          TEXT    NOT NULL,
	basis         TEXT    NOT NULL,
	calls         INTEGER NOT NULL,
	cost_micro    INTEGER NOT NULL,
	tokens        INTEGER NOT NULL,
	input_tokens  INTEGER NOT NULL,
	output_tokens INTEGER NOT NULL,
	cache_read    INTEGER NOT NULL,
	cache_write   INTEGER NOT NULL,
	PRIMARY KEY (month, tenant, tier, provider, model, task, basis)
) WITHOUT ROWID;

-- Which limits of a month were reached: each is told once.
CREATE TABLE spend_mark (
	month INTEGER NOT NULL,
	kind  TEXT    NOT NULL, -- soft or hard
	at    INTEGER NOT NULL,
	PRIMARY KEY (month, kind)
) WITHOUT ROWID;
