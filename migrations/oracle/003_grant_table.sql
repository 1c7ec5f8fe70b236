-- In a multitenant database this is a local grant: it holds in the pluggable database that it is made in.
GRANT {privileges} ON {table} TO {user};
