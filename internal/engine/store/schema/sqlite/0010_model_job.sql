-- Investigations about which a model is to be asked (MECHANICS 10): the row is the work, the
-- message on jobs.llm.priority.* only a hint. priority is 0 for critical to 3 for low.
CREATE TABLE model_job (
	investigation TEXT    PRIMARY KEY,
	tenant        TEXT    NOT NULL,
	priority      INTEGER NOT NULL,
	queued_at     INTEGER NOT NULL,
	input         TEXT    NOT NULL, -- digest of the evidence that is asked about
	attempts      INTEGER NOT NULL,
	wake_at       INTEGER NOT NULL, -- not before
	lease_owner   TEXT,
	lease_until   INTEGER
) WITHOUT ROWID;
CREATE INDEX model_job_queue ON model_job (priority, queued_at);

-- What waits only because the product was degraded is decided again when it is not any more.
CREATE INDEX investigation_degraded ON investigation (updated_at) WHERE wait_reason = 'degraded';
