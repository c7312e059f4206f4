-- schema: stats_v3
-- What an athlete's training adds up to: a row a workout with what counts of each of its sets. Days,
-- weeks and sums are made when it is read, in the time zone that the athlete has then.

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
    started_at timestamptz not null,
    -- Empty while it goes on: only completed workouts count.
    completed_at timestamptz,
    -- JSON by exercise: of each set its id, repetitions, exact weight in kg, whether it warmed up, and
    -- when it was performed, in seconds.
    sets text not null,
    -- The workout first: its id is in the order of time, so that what is written today is side by
    -- side.
    primary key (workout, owner)
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
