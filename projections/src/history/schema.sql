-- schema: history_v6
-- Which workouts an athlete did, newest first, with every set. Text columns hold the JSON of the
-- events, personal fields sealed as they are there, so that a destroyed key forgets them here too.

create table athletes (
    owner uuid primary key,
    time_zone text not null
);

create table custom_exercises (
    owner uuid not null,
    exercise uuid not null,
    created text not null,
    primary key (owner, exercise)
);

create table workouts (
    owner uuid not null,
    workout uuid not null,
    completed boolean not null,
    started_at timestamptz not null,
    completed_at timestamptz,
    -- Whether it was left open, and closed by us.
    abandoned boolean not null,
    imported_from text,
    details text not null,
    feeling text,
    primary key (owner, workout)
);

create table workout_sets (
    owner uuid not null,
    workout uuid not null,
    set_id uuid not null,
    -- The version of the event that logged it: sets stay in the order of logging.
    ordinal integer not null,
    exercise text not null,
    values text not null,
    -- Whether it is far beyond what was known of the athlete, and not confirmed.
    unusual boolean not null,
    -- The workout first: its id is in the order of time, so that sets of today are written side by
    -- side whoever's they are.
    primary key (workout, owner, set_id)
);

create table workout_notes (
    owner uuid not null,
    workout uuid not null,
    exercise text not null,
    noted text not null,
    primary key (workout, owner, exercise)
);

-- What the athlete weighed, as in the events: sealed.
create table weighings (
    owner uuid not null,
    measured_at timestamptz not null,
    -- The position of the event that told of it first.
    noted bigint not null,
    id uuid not null,
    weight text not null,
    primary key (owner, measured_at, noted)
);
