-- The log: dense partitions of immutable events. See docs/architecture.md, "The log".

-- Least privilege: nobody who runs the product owns anything or can change an event. The roles
-- are of the whole server, so another database of the same server may have made them already.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['ironledger_api', 'ironledger_projector'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception when duplicate_object or unique_violation then
                null; -- made by somebody else at this very moment
            end;
        end if;
    end loop;
end $$;

create schema log;
grant usage on schema log to ironledger_api, ironledger_projector;

-- The line of history the log is on. Seconds since 1970 at its beginning: unique enough between
-- two restores of one backup, and in order.
create table log.epochs (
    epoch bigint primary key,
    began_at timestamptz not null default clock_timestamp(),
    reason text not null
);
insert into log.epochs (epoch, reason)
values (extract(epoch from clock_timestamp())::bigint, 'created');
grant select on log.epochs to ironledger_api, ironledger_projector;

create table log.events (
    partition smallint not null,
    -- 1, 2, 3 … without a hole, in commit order; the primary key is the writers' compare-and-swap.
    position bigint not null check (position > 0),
    epoch bigint not null,
    owner uuid not null,
    stream_kind smallint not null,
    stream_id uuid not null,
    version integer not null check (version > 0),
    type text not null,
    type_version smallint not null,
    recorded_at timestamptz not null,
    -- The client-made id that makes the command safe to send twice, and the keyed hash of what
    -- the command said.
    client_id uuid,
    fingerprint bytea,
    -- The exact bytes that were encoded: text, because jsonb would rewrite them.
    metadata text not null,
    payload text not null,
    primary key (partition, position)
) partition by list (partition);

-- The time-ordered id comes first, so that new entries go to the right edge of the index.
create unique index events_stream
    on log.events (stream_id, owner, stream_kind, version, partition);
create unique index events_client_id
    on log.events (client_id, owner, partition) where client_id is not null;

grant select, insert on log.events to ironledger_api;
grant select on log.events to ironledger_projector;

create function log.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'events are never changed or removed (% on %)', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;

create trigger immutable before update or delete or truncate on log.events
    for each statement execute function log.refuse_change();

-- Statement triggers of a parent do not fire for statements that name a leaf, so that each leaf
-- has its own.
create function log.add_partition(number smallint) returns void language plpgsql as $$
begin
    execute format('create table log.events_%s partition of log.events for values in (%s)',
        number, number);
    execute format('create trigger immutable before update or delete or truncate on log.events_%s
        for each statement execute function log.refuse_change()', number);
end $$;
revoke execute on function log.add_partition(smallint) from public;

-- How many: docs/adr/0003-partitions.md. More can be added at any time, for new athletes.
select log.add_partition(number::smallint) from generate_series(0, 15) as number;

-- For people: the stored text as JSON, names instead of numbers.
create view log.readable as
select
    partition,
    position,
    recorded_at,
    owner,
    case stream_kind
        when 1 then 'athlete' when 2 then 'exercises' when 3 then 'workout'
        else stream_kind::text
    end || '-' || stream_id as stream,
    version,
    type,
    type_version,
    metadata::json as metadata,
    payload::json as payload
from log.events;

grant select on log.readable to ironledger_api, ironledger_projector;

-- Keys of personal data, one per person, wrapped by the master key. Destroying one forgets what
-- it sealed, everywhere.
create table log.personal_keys (
    person uuid primary key,
    wrapped bytea not null,
    created_at timestamptz not null
);
grant select, insert, delete on log.personal_keys to ironledger_api;
