-- schema: open_v1
-- The workouts that go on.

create table workouts (
    owner uuid not null,
    workout uuid not null,
    partition smallint not null,
    -- When the log took that it began.
    opened_at timestamptz not null,
    primary key (owner, workout)
);
