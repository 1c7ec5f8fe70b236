-- Holds the connector's grants, and gates its change data.
IF DATABASE_PRINCIPAL_ID({role_text}) IS NULL CREATE ROLE {role};
