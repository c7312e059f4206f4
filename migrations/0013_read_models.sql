-- Read models keep their checkpoints in their own schemas. The table `projector.checkpoints` stays
-- for as long as processes of an older version run, which keep their older read models up to date.

-- Events that somebody has decided to leave out of a read model, in every version of it and in every
-- replay.
create table projector.skipped_events (
    -- Name of the read model, without a version.
    projection text not null,
    partition smallint not null,
    position bigint not null,
    -- Identity of the event, for a restored log may have another at its place.
    event text not null,
    reason text not null,
    skipped_at timestamptz not null default clock_timestamp(),
    primary key (projection, partition, position)
);

-- What a projector that does not go on says.
create table projector.troubles (
    -- Name and version of the read model.
    model text not null,
    member uuid not null,
    error text not null,
    since timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    primary key (model, member)
);

-- The latest replay of each read model.
create table projector.replays (
    model text primary key,
    -- loading, indexing, catching up, verifying, swapping, done, or different
    phase text not null,
    host text not null,
    process integer not null,
    started_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    -- Events read, of how many.
    done bigint not null,
    total bigint not null,
    events_per_second double precision not null
);

grant select on projector.skipped_events, projector.troubles, projector.replays to ironledger_api;
grant select, insert, update, delete on projector.skipped_events, projector.troubles,
    projector.replays to ironledger_projector;

-- Replays read the tables that events lie in as they lie there, and not by the table above them.
create or replace function log.make_table(first smallint) returns void language plpgsql as $$
declare
    leaf text := format('events_%s_to_%s', first, first + 7);
begin
    execute format('create table log.%I (like log.events including defaults)', leaf);
    execute format('create trigger immutable before update or delete or truncate on log.%I
        for each statement execute function log.refuse_change()', leaf);
    execute format('grant select on log.%I to ironledger_projector', leaf);
end $$;

do $$
declare
    leaf regclass;
begin
    for leaf in select inhrelid from pg_inherits where inhparent = 'log.events'::regclass loop
        execute format('grant select on %s to ironledger_projector', leaf);
    end loop;
end $$;
