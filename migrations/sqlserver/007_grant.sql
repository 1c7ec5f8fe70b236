GRANT {privileges} ON OBJECT::{table} TO {grantee};
