-- Who may sign in. E-mail addresses and passwords live here and nowhere else.

create schema accounts;
grant usage on schema accounts to ironledger_api;

create table accounts.accounts (
    athlete uuid primary key,
    -- Case-folded: an address is one account however it is typed.
    email text not null unique,
    -- A PHC string of Argon2id.
    password_hash text not null,
    -- The log partition of everything the athlete owns, for ever.
    partition smallint not null,
    role text not null default 'athlete' check (role in ('athlete', 'coach', 'admin')),
    created_at timestamptz not null,
    -- What registration said, until the log has it: a crash between the two is mended at the
    -- next sign-in.
    unregistered text
);
grant select, insert, update on accounts.accounts to ironledger_api;
