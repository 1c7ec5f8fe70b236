ALTER ROLE {role} ADD MEMBER {member};
