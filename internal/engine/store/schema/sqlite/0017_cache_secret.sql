-- The secret with which what processes keep in the cache is sealed (package knowledge/intel): who can
-- write to the cache and does not know it can hide nothing.

CREATE TABLE cache_secret (
	one    INTEGER PRIMARY KEY CHECK (one = 1),
	secret BLOB    NOT NULL
);
