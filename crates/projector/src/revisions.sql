-- How often the rows of an athlete have changed since the model was made or swapped in: beside the
-- checkpoint's generation, what answers that were kept are told by.
create table revisions (
    owner uuid primary key,
    revision bigint not null,
    -- When the log took the newest event that changed them.
    changed_at timestamptz not null
) with (fillfactor = 50);
