-- Investigations about which a model is to be asked (MECHANICS 10): the row is the work, the
-- message on jobs.llm.priority.* only a hint. priority is 0 for critical to 3 for low.
CREATE TABLE model_job (
	investigation TEXT COLLATE "C" PRIMARY KEY,
	tenant        TEXT COLLATE "C" NOT NULL,
	priority      BIGINT NOT NULL,
	queued_at     BIGINT NOT NULL,
	input         TEXT COLLATE "C" NOT NULL, -- digest of the evidence that is asked about
	attempts      BIGINT NOT NULL,
	wake_at       BIGINT NOT NULL, -- not before
	lease_owner   TEXT COLLATE "C",
	lease_until   BIGINT
);
CREATE INDEX model_job_queue ON model_job (priority, queued_at);

-- What waits only because the product was degraded is decided again when it is not any more.
CREATE INDEX investigation_degraded ON investigation (updated_at) WHERE wait_reason = 'degraded';

SELECT row_security('model_job', 'tenant = current_tenant()');
