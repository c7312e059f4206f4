-- What athletes call themselves: names that nobody else has. A claim is made before the event that
-- tells of it, so a name may be claimed by whom the log does not know by it; one that is no longer
-- theirs is let go with their next change.
create table accounts.usernames (
    -- In small letters.
    username text primary key,
    athlete uuid not null,
    claimed_at timestamptz not null
);
create index usernames_athlete on accounts.usernames (athlete);
grant select, insert, update, delete on accounts.usernames to ironledger_api;

-- Read models that rank by what is personal open it: keys are of use to who has the master key alone.
grant select on log.personal_keys, log.master_key to ironledger_projector;

-- Keys of a read model whose truth may no longer be what was announced. Outside of the model's own
-- schema, for a replay that replaces it has announced nothing.
create table projector.marks (
    model text not null,
    owner uuid not null,
    key text not null,
    partition smallint not null,
    -- Whether all that marked it came out of another app: that is told once it is over.
    imported boolean not null,
    -- When the log took the newest event that marked it.
    recorded_at timestamptz not null,
    marked_at timestamptz not null default clock_timestamp(),
    primary key (model, owner, key)
);
grant select, insert, update, delete on projector.marks to ironledger_projector;
grant select on projector.marks to ironledger_api;

-- Who announces appends, and reads what it is to announce.
do $$
begin
    if not exists (select from pg_roles where rolname = 'ironledger_emitter') then
        begin
            create role ironledger_emitter nologin;
        exception when duplicate_object or unique_violation then
            null; -- made by somebody else at this very moment
        end;
    end if;
end $$;
grant usage on schema log, projector to ironledger_emitter;
grant select, insert on log.events to ironledger_emitter;
grant select on log.epochs, log.partitions to ironledger_emitter;
grant select, delete on projector.marks to ironledger_emitter;

-- The names of the new streams.
create or replace view log.readable as
select
    partition,
    position,
    recorded_at,
    owner,
    case stream_kind
        when 1 then 'athlete' when 2 then 'exercises' when 3 then 'workout' when 4 then 'audit'
        when 5 then 'body' when 6 then 'records'
        else stream_kind::text
    end || '-' || stream_id as stream,
    version,
    type,
    type_version,
    metadata::json as metadata,
    payload::json as payload
from log.events;
