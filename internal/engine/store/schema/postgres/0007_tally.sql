-- Occurrences that rules with a count look at: one row per alert, rule and key. The key is a
-- hash of tenant, rule and the values of the rule's key fields.
CREATE TABLE tally (
	key           BYTEA NOT NULL,
	event_time    BIGINT NOT NULL,
	alert         BIGINT NOT NULL,
	investigation BIGINT NOT NULL, -- its first alert
	value         BIGINT NOT NULL, -- hash of the value whose distinct ones are counted
	PRIMARY KEY (key, event_time, alert)
);

SELECT row_security('tally', 'false', '');
