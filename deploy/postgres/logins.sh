#!/bin/sh
# Runs once, when the database of docker-compose.yml is made: the users of our processes, each with
# the rights of its role alone. The roles' rights come with `ironledger migrate`.
set -eu
for role in api projector relay publisher emitter; do
    # Passwords come from the environment and are quoted by psql; they are on no command line.
    psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<SQL
\getenv password DB_PASSWORD_$(echo "$role" | tr '[:lower:]' '[:upper:]')
create role ironledger_$role nologin;
create role $role login password :'password' in role ironledger_$role;
SQL
done
