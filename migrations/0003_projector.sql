-- How far each projection has read, and the right to build read models.

do $$
begin
    execute format('grant create on database %I to ironledger_projector', current_database());
end $$;

create schema projector;
grant usage on schema projector to ironledger_api, ironledger_projector;

create table projector.checkpoints (
    -- Name and version of the read model, which is also the name of its schema.
    projection text not null,
    partition smallint not null,
    -- Raised by whatever takes the rows over; who still believes in an older one is fenced off.
    generation integer not null,
    epoch bigint not null,
    position bigint not null,
    -- Identity of the event at the position, by which a fork of the log is seen.
    last_event text not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (projection, partition)
) with (fillfactor = 50);
grant select on projector.checkpoints to ironledger_api;
grant select, insert, update on projector.checkpoints to ironledger_projector;
