-- What the runtime keeps in the schema of every read model, beside the model's own tables: whoever
-- reads rows of a schema reads the position they stand at from the same schema, whatever name it
-- has.

-- What was built here, by one row.
create table model (
    -- Of the code that reads and writes it: another shape is another model.
    shape text not null,
    -- Whether it has its indexes; a replay makes them when the rows are there.
    indexed boolean not null,
    -- Since when it may be asked: it has reached the end of the log once.
    built_at timestamptz
);
create unique index model_is_one on model ((true));

-- How far it has read.
create table checkpoints (
    partition smallint primary key,
    -- Raised by whatever takes the rows over; who still believes in an older one is fenced off.
    generation integer not null,
    epoch bigint not null,
    position bigint not null,
    -- Identity of the event at the position, by which a fork of the log is seen.
    last_event text not null,
    -- The time at which the rows stand, of models whose rows age.
    as_of timestamptz not null,
    updated_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

-- Events that are set aside: those that cannot be projected, and later ones of the same owner, which
-- wait behind them.
create table parked_events (
    partition smallint not null,
    position bigint not null,
    owner uuid not null,
    -- Empty while it waits behind another.
    error text,
    -- Whether later events of the owner go on without it: nothing of it is known but its place.
    alone boolean not null,
    attempts integer not null,
    parked_at timestamptz not null default clock_timestamp(),
    primary key (partition, position)
);
create index parked_events_owner on parked_events (owner, partition, position);
