-- What commands with an Idempotency-Key were answered, kept in the statement that appends their
-- events, so that neither is there without the other.
create table log.kept_answers (
    owner uuid not null,
    actor uuid not null,
    -- Keyed hashes: of the key, and of what the request said.
    key bytea not null,
    said bytea not null,
    kept_at timestamptz not null,
    -- Where the events are, if the command led to any.
    partition smallint not null,
    position bigint,
    epoch bigint,
    -- Sealed with the owner's personal key.
    answer bytea not null,
    primary key (owner, actor, key)
);
-- For pruning; rows come in the order of time.
create index kept_answers_kept_at on log.kept_answers using brin (kept_at)
    with (pages_per_range = 16);
grant select, insert, delete on log.kept_answers to ironledger_api;
