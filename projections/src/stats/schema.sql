-- schema: stats_v1
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
    -- JSON by exercise: of each set its id, repetitions, exact weight in kg, and whether it warmed up.
    sets text not null,
    -- The workout first: its id is in the order of time, so that what is written today is side by
    -- side.
    primary key (workout, owner)
);
