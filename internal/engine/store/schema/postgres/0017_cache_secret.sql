-- The secret with which what processes keep in the cache is sealed (package knowledge/intel): who can
-- write to the cache and does not know it can hide nothing.

CREATE TABLE cache_secret (
	one    BIGINT PRIMARY KEY CHECK (one = 1),
	secret BYTEA NOT NULL
);

SELECT row_security('cache_secret', 'false', '');
