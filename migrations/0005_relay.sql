-- Who publishes the log on Kafka, and how far; who of several processes takes which partition.

do $$
begin
    if not exists (select from pg_roles where rolname = 'ironledger_relay') then
        begin
            create role ironledger_relay nologin;
        exception when duplicate_object or unique_violation then
            null; -- made by somebody else at this very moment
        end;
    end if;
end $$;

grant usage on schema log to ironledger_relay;
grant select on log.events, log.epochs to ironledger_relay;

-- The relay that leads. Time is that of this database, so that clocks need not agree.
create table log.relay_lease (
    only_one boolean primary key default true check (only_one),
    -- Raised with every change of the leader.
    term bigint not null,
    holder uuid not null,
    expires_at timestamptz not null
);
grant select, insert, update on log.relay_lease to ironledger_relay;

-- What Kafka has acknowledged. A leader takes the rows over with its term, and whoever still
-- believes in an older one is refused.
create table log.published (
    partition smallint primary key,
    term bigint not null,
    position bigint not null,
    updated_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
grant select, insert, update on log.published to ironledger_relay;
grant select on log.relay_lease, log.published to ironledger_api, ironledger_projector;

-- Without Kafka, projectors of one read model share its partitions. A lease is only an agreement:
-- what keeps two owners apart is the compare-and-swap on the checkpoint.
create table projector.members (
    projection text not null,
    holder uuid not null,
    expires_at timestamptz not null,
    primary key (projection, holder)
);
create table projector.leases (
    projection text not null,
    partition smallint not null,
    holder uuid not null,
    expires_at timestamptz not null,
    primary key (projection, partition)
) with (fillfactor = 50);
grant select, insert, update, delete on projector.members, projector.leases
    to ironledger_projector;
