-- schema: strength_v1
-- How strong athletes are now, and how many of them are as strong. Rows stand at the time of the
-- checkpoint: what was done thirty days before it counts no more.

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

-- What the athlete weighed, in clear: levels are multiples of it, and weight classes limits to it.
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
    -- JSON by exercise: of each set what levels depend on.
    sets text not null,
    primary key (workout, owner)
);

-- What an athlete did of an exercise in the thirty days, and what it comes to.
create table lately (
    owner uuid not null,
    exercise text not null,
    partition smallint not null,
    -- Whether the bodyweight of the day is part of volumes.
    weighs boolean not null,
    -- JSON: the sets that count.
    sets text not null,
    -- When the first of them counts no more.
    expires_at timestamptz not null,
    -- The working maximum in grams; empty where there is none.
    grams bigint,
    -- JSON: the set that it is of.
    best text,
    -- In kg, on the day of that set.
    bodyweight text,
    -- Whom it is counted among: `male`, and `male 83`.
    sex text,
    class text,
    primary key (owner, exercise)
);

-- In the order in which they age.
create table expiries (
    partition smallint not null,
    expires_at timestamptz not null,
    owner uuid not null,
    exercise text not null,
    primary key (partition, expires_at, owner, exercise)
);

-- Athletes by working maximum, in steps of four kilograms …
create table coarse (
    partition smallint not null,
    exercise text not null,
    -- Among whom: `all`, `male`, `male 83`.
    among text not null,
    step integer not null,
    athletes bigint not null,
    primary key (partition, exercise, among, step)
);

-- … and to the gram.
create table fine (
    partition smallint not null,
    exercise text not null,
    among text not null,
    grams bigint not null,
    athletes bigint not null,
    primary key (partition, exercise, among, grams)
);
