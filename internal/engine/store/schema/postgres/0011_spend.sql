-- What calls to language models cost (package llm/spend). Money is micro-USD, times are
-- microseconds UTC, a month is year * 12 + month - 1, an hour is seconds since 1970 / 3600.

-- One row per attempt, written before it is made. An open row counts with what it reserved; one
-- that nobody booked counts with that for ever (lapsed).
CREATE TABLE spend_call (
	seq             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	owner           TEXT COLLATE "C" NOT NULL, -- the process that reserved
	state           TEXT COLLATE "C" NOT NULL CHECK (state IN ('open', 'booked', 'lapsed')),
	tenant          TEXT COLLATE "C" NOT NULL,
	investigation   TEXT COLLATE "C" NOT NULL, -- empty for none
	task            TEXT COLLATE "C" NOT NULL,
	tier            TEXT COLLATE "C" NOT NULL,
	provider        TEXT COLLATE "C" NOT NULL,
	model           TEXT COLLATE "C" NOT NULL, -- as asked
	answered        TEXT COLLATE "C" NOT NULL DEFAULT '',
	terms           BIGINT NOT NULL, -- 1 batch, 2 cache of an hour
	month           BIGINT NOT NULL,
	hour            BIGINT NOT NULL,
	reserved_at     BIGINT NOT NULL,
	lease_until     BIGINT NOT NULL,
	reserved_micro  BIGINT NOT NULL CHECK (reserved_micro >= 0),
	reserved_tokens BIGINT NOT NULL CHECK (reserved_tokens >= 0),
	basis           TEXT COLLATE "C" NOT NULL DEFAULT '' CHECK (basis IN ('', 'measured', 'estimated', 'unknown')),
	outcome         TEXT COLLATE "C" NOT NULL DEFAULT '', -- ok, or the kind of the error
	booked_at       BIGINT NOT NULL DEFAULT 0,
	cost_micro      BIGINT NOT NULL DEFAULT 0,
	tokens          BIGINT NOT NULL DEFAULT 0,
	input_tokens    BIGINT NOT NULL DEFAULT 0,
	output_tokens   BIGINT NOT NULL DEFAULT 0,
	cache_read      BIGINT NOT NULL DEFAULT 0,
	cache_write     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX spend_call_open ON spend_call (lease_until) WHERE state = 'open';
CREATE INDEX spend_call_investigation ON spend_call (tenant, investigation);
CREATE INDEX spend_call_time ON spend_call (reserved_at);

-- What the caps are checked against. scope: investigation, tenant_hour, tenant_month, month.
CREATE TABLE spend_sum (
	scope           TEXT COLLATE "C" NOT NULL,
	tenant          TEXT COLLATE "C" NOT NULL, -- empty for month
	subject         TEXT COLLATE "C" NOT NULL, -- the investigation, else empty
	period          BIGINT NOT NULL, -- the hour or month, else 0
	calls           BIGINT NOT NULL,
	booked_micro    BIGINT NOT NULL,
	booked_tokens   BIGINT NOT NULL,
	reserved_micro  BIGINT NOT NULL,
	reserved_tokens BIGINT NOT NULL,
	PRIMARY KEY (scope, tenant, subject, period)
);

-- What reports are made of: everything that was booked, without reservations.
CREATE TABLE spend_total (
	month         BIGINT NOT NULL,
	tenant        TEXT COLLATE "C" NOT NULL,
	tier          TEXT COLLATE "C" NOT NULL,
	provider      TEXT COLLATE "C" NOT NULL,
	model         TEXT COLLATE "C" NOT NULL, -- that answered, else as asked
	task          TEXT COLLATE "C" NOT NULL,
	basis         TEXT COLLATE "C" NOT NULL,
	calls         BIGINT NOT NULL,
	cost_micro    BIGINT NOT NULL,
	tokens        BIGINT NOT NULL,
	input_tokens  BIGINT NOT NULL,
	output_tokens BIGINT NOT NULL,
	cache_read    BIGINT NOT NULL,
	cache_write   BIGINT NOT NULL,
	PRIMARY KEY (month, tenant, tier, provider, model, task, basis)
);

-- Which limits of a month were reached: each is told once.
CREATE TABLE spend_mark (
	month BIGINT NOT NULL,
	kind  TEXT COLLATE "C" NOT NULL, -- soft or hard
	at    BIGINT NOT NULL,
	PRIMARY KEY (month, kind)
);

SELECT row_security('spend_call', 'tenant = current_tenant()');
-- The sums of all tenants together have no tenant; they are reserved from by system work.
SELECT row_security('spend_sum', 'tenant = current_tenant()', 'SELECT');
SELECT row_security('spend_total', 'tenant = current_tenant()', 'SELECT');
SELECT row_security('spend_mark', 'true', 'SELECT');
