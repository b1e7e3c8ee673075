CREATE TABLE fp_reserved (x INTEGER);
