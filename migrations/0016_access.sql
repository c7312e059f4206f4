-- Who may come in, and who came: sessions, API keys, what was revoked, and what happened at the door.

-- What an account may do and has paid for is told by its `account-…` stream; roles that were granted
-- before there was one are granted anew.
alter table accounts.accounts drop column role;

alter table accounts.accounts
    -- None where the athlete signs in by others alone.
    alter column password_hash drop not null,
    -- When the athlete proved that mail to the address reaches them.
    add column email_verified_at timestamptz,
    -- Raised when role or tier change: access tokens of a lower one say what is no longer true.
    add column generation integer not null default 0;

-- Signed in on a device. Refresh tokens of one session are a family: one is good, once.
create table accounts.sessions (
    id uuid primary key,
    athlete uuid not null references accounts.accounts,
    -- In every refresh token of the session: whoever has it had one.
    family bytea not null,
    -- SHA-256 of the secret of the refresh token that is good.
    secret bytea not null,
    begun_at timestamptz not null,
    used_at timestamptz not null,
    expires_at timestamptz not null,
    -- password, registration, or the name of an issuer.
    method text not null,
    -- As the client and its browser call themselves, and from where they came last.
    device text,
    user_agent text,
    address text
);
create index sessions_athlete on accounts.sessions (athlete);
create index sessions_expiry on accounts.sessions (expires_at);
grant select, insert, update, delete on accounts.sessions to ironledger_api;

-- For programs: an id and a secret, of which SHA-256 is kept.
create table accounts.keys (
    id uuid primary key,
    athlete uuid not null references accounts.accounts,
    name text not null,
    secret bytea not null,
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    used_at timestamptz
);
create index keys_athlete on accounts.keys (athlete);
grant select, insert, update, delete on accounts.keys to ironledger_api;

-- What ends access tokens before their time, for as long as they could live. Processes read on from
-- the oldest transaction that was still open when they last looked, so that none is passed over
-- that was committed late.
create table accounts.revocations (
    -- A session or key that is over; or an athlete, of whom tokens below a generation say what is
    -- no longer true.
    subject uuid not null,
    generation integer,
    revoked_at timestamptz not null default clock_timestamp(),
    transaction xid8 not null default pg_current_xact_id()
);
create index revocations_transaction on accounts.revocations (transaction);
grant select, insert, delete on accounts.revocations to ironledger_api;

-- What was sent by mail, to prove who reads it: SHA-256 of it. One of a purpose is good.
create table accounts.mailed (
    athlete uuid not null references accounts.accounts,
    purpose text not null check (purpose in ('verify', 'reset')),
    secret bytea not null unique,
    -- The address that it was sent to.
    email text not null,
    expires_at timestamptz not null,
    primary key (athlete, purpose)
);
grant select, insert, update, delete on accounts.mailed to ironledger_api;

-- Whom others vouch for (OpenID Connect).
create table accounts.identities (
    issuer text not null,
    subject text not null,
    athlete uuid not null references accounts.accounts,
    linked_at timestamptz not null,
    primary key (issuer, subject)
);
create index identities_athlete on accounts.identities (athlete);
grant select, insert, delete on accounts.identities to ironledger_api;

-- Sign-ins by others that have begun.
create table accounts.oidc_attempts (
    -- SHA-256 of the state that comes back from the issuer, and of what the client keeps for itself.
    state bytea primary key,
    ticket bytea not null,
    provider text not null,
    nonce text not null,
    verifier text not null,
    redirect_uri text not null,
    -- Who links the identity; none signs in.
    athlete uuid,
    expires_at timestamptz not null
);
grant select, insert, delete on accounts.oidc_attempts to ironledger_api;

-- What happened at the door. Nobody changes it; it is kept for 90 days.
create table accounts.access_log (
    id uuid primary key,
    happened_at timestamptz not null,
    -- Whose affairs it was about, and who it was, where that is known.
    athlete uuid,
    actor uuid,
    what text not null,
    -- The session or key that the actor was known by.
    session uuid,
    key uuid,
    route text not null,
    status smallint,
    address text,
    device text,
    request text not null,
    -- The same again within the second is counted.
    times integer not null default 1
);
create index access_log_athlete on accounts.access_log (athlete, id);
grant select, insert on accounts.access_log to ironledger_api;

create function accounts.prune_access_log() returns bigint
language sql security definer set search_path = pg_catalog as $$
    with gone as (
        delete from accounts.access_log
        where id < rpad(
            lpad(to_hex((extract(epoch from now() - interval '90 days') * 1000)::bigint), 12, '0'),
            32, '0'
        )::uuid
        returning 1
    )
    select count(*) from gone
$$;
revoke all on function accounts.prune_access_log() from public;
grant execute on function accounts.prune_access_log() to ironledger_api;

-- The names of the new streams.
create or replace view log.readable as
select
    partition,
    position,
    recorded_at,
    owner,
    case stream_kind
        when 1 then 'athlete' when 2 then 'exercises' when 3 then 'workout' when 4 then 'audit'
        when 5 then 'body' when 6 then 'records' when 7 then 'account' when 8 then 'coaching'
        else stream_kind::text
    end || '-' || stream_id as stream,
    version,
    type,
    type_version,
    metadata::json as metadata,
    payload::json as payload
from log.events;
