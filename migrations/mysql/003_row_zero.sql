-- Before an id of 0 is written out: without this mode, zero asks for the next number.
SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',NO_AUTO_VALUE_ON_ZERO');
