-- schema: records_v3
-- Which sets hold an athlete's records: by exercise, the best of each month, each year and ever. A day
-- has all its sets, so that whoever loses a set looks again at one day, its month and its year.

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

-- What the athlete weighed, in clear: it is part of volumes.
create table weighings (
    owner uuid not null,
    measured_at timestamptz not null,
    -- The position of the event that told of it first.
    noted bigint not null,
    id uuid not null,
    -- In kg.
    weight text not null,
    primary key (owner, measured_at, noted)
);

-- Where the sets of a workout are, for events that name a set by its id alone.
create table workouts (
    workout uuid not null,
    owner uuid not null,
    started_at timestamptz not null,
    -- The position of its first event.
    logged bigint not null,
    completed boolean not null,
    -- Whether it came out of another app.
    imported boolean not null,
    -- JSON by exercise: of each set what records depend on.
    sets text not null,
    primary key (workout, owner)
);

create table days (
    owner uuid not null,
    exercise text not null,
    -- As in 202601, and the day of it; in UTC.
    month integer not null,
    day smallint not null,
    -- JSON: all working sets, and the sessions that began on that day.
    done text not null,
    primary key (owner, exercise, month, day)
);

create table spans (
    owner uuid not null,
    exercise text not null,
    -- 0: ever; 1: a year; 2: a month.
    level smallint not null,
    -- 0, as in 2026, or as in 202601.
    span integer not null,
    -- JSON: the sets, and the session, that hold a record of that span.
    best text not null,
    primary key (owner, exercise, level, span)
);

-- The exercises of which the bodyweight of the day is part of what is lifted.
create table bodyweight_exercises (
    owner uuid not null,
    exercise text not null,
    primary key (owner, exercise)
);

-- What was announced, as the `records-…` streams say it.
create table announced (
    owner uuid not null,
    exercise text not null,
    -- JSON: who holds which record.
    holders text not null,
    primary key (owner, exercise)
);

-- How far those streams are.
create table announcements (
    owner uuid primary key,
    version integer not null
);
