-- Occurrences that rules with a count look at: one row per alert, rule and key. The key is a
-- hash of tenant, rule and the values of the rule's key fields.
CREATE TABLE tally (
	key           BLOB    NOT NULL,
	event_time    INTEGER NOT NULL,
	alert         INTEGER NOT NULL,
	investigation INTEGER NOT NULL, -- its first alert
	value         INTEGER NOT NULL, -- hash of the value whose distinct ones are counted
	PRIMARY KEY (key, event_time, alert)
) WITHOUT ROWID;
