-- schema: boards_v1
-- Who stands where on which leaderboard. A day is that of the log, in UTC, written as in 20261128; a
-- period is its last day, and 99991231 of a board of all time.

create table athletes (
    owner uuid primary key,
    time_zone text not null,
    partition smallint not null,
    -- In clear: whom the athlete is held against. Empty where it is not known.
    sex text
);

create table custom_exercises (
    owner uuid not null,
    exercise uuid not null,
    created text not null,
    primary key (owner, exercise)
);

-- What the athlete weighed, in clear: weight classes are limits to it.
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

create table workouts (
    workout uuid not null,
    owner uuid not null,
    started_at timestamptz not null,
    -- The position of its first event.
    logged bigint not null,
    completed boolean not null,
    imported boolean not null,
    -- JSON by exercise: of each set what boards depend on.
    sets text not null,
    primary key (workout, owner)
);

-- Workouts with a set of which the bodyweight of its day is part.
create table weighed (
    owner uuid not null,
    day integer not null,
    workout uuid not null,
    primary key (owner, day, workout)
);

-- The sets that may hold a place, of exercises of the library …
create table days (
    owner uuid not null,
    exercise text not null,
    -- As in 202601, and the day of it; in UTC.
    month integer not null,
    day smallint not null,
    -- JSON: the sets.
    done text not null,
    primary key (owner, exercise, month, day)
);

-- … and the best of each month, each year and ever.
create table spans (
    owner uuid not null,
    exercise text not null,
    -- 0: ever; 1: a year; 2: a month.
    level smallint not null,
    -- 0, as in 2026, or as in 202601.
    span integer not null,
    -- JSON: the set.
    best text not null,
    primary key (owner, exercise, level, span)
);

-- Who stands on which board.
create table places (
    owner uuid not null,
    board text not null,
    period integer not null,
    partition smallint not null,
    -- In grams, hundredths of points, or workouts.
    score bigint not null,
    -- Whom it is held against: the athlete's sex, and the weight class of the day of the record.
    sex text,
    class text,
    -- When the record was done; empty where no single set did it.
    achieved_at timestamptz,
    set_id uuid,
    workout uuid,
    primary key (owner, board, period)
);

-- The same day by day, where it changed on that day: how it stood at the end of it.
create table past (
    owner uuid not null,
    board text not null,
    period integer not null,
    day integer not null,
    -- Of the day, as in 202601.
    month integer not null,
    -- Empty where there was no longer a place.
    score bigint,
    -- The narrowest that it was held against: `male 83`; `male` without a weight; else `all`.
    among text not null,
    primary key (owner, board, period, day)
);

-- How many there are by steps of the score, so that a rank is a sum: `boards/board.rs`, `step`.
create table counts (
    partition smallint not null,
    board text not null,
    period integer not null,
    -- Among whom: `all`, `male`, `male 83`.
    among text not null,
    step integer not null,
    athletes bigint not null,
    -- Of their scores: what copies of the board are checked by.
    total bigint not null,
    primary key (partition, board, period, among, step)
);

-- Which places end with a period …
create table expiries (
    partition smallint not null,
    period integer not null,
    owner uuid not null,
    board text not null,
    primary key (partition, period, owner, board)
);

-- … and the last day of which a partition has an event: what ended before it is gone.
create table clock (
    partition smallint primary key,
    day integer not null
);
