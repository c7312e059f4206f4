-- Who publishes the public topics, and how far. The lease and the notes of the relay get rows of
-- another feed, which either role may only write for its own.

do $$
begin
    if not exists (select from pg_roles where rolname = 'ironledger_publisher') then
        begin
            create role ironledger_publisher nologin;
        exception when duplicate_object or unique_violation then
            null; -- made by somebody else at this very moment
        end;
    end if;
end $$;

grant usage on schema log to ironledger_publisher;
-- The keys, for athletes' pseudonyms: read alone.
grant select on log.events, log.epochs, log.partitions, log.personal_keys, log.master_key
    to ironledger_publisher;

alter table log.relay_lease add column feed text not null default 'log'
    check (feed in ('log', 'public'));
alter table log.relay_lease drop constraint relay_lease_pkey;
alter table log.relay_lease drop column only_one;
alter table log.relay_lease add primary key (feed);

alter table log.published add column feed text not null default 'log'
    check (feed in ('log', 'public'));
alter table log.published drop constraint published_pkey;
alter table log.published add primary key (feed, partition);
-- By topic, the position of the last record: what the next one names as the one before it.
alter table log.published add column records jsonb not null default '{}';

grant select, insert, update on log.relay_lease, log.published to ironledger_publisher;

alter table log.relay_lease enable row level security;
alter table log.published enable row level security;
create policy seen on log.relay_lease for select using (true);
create policy seen on log.published for select using (true);
create policy relay on log.relay_lease to ironledger_relay
    using (feed = 'log') with check (feed = 'log');
create policy relay on log.published to ironledger_relay
    using (feed = 'log') with check (feed = 'log');
create policy publisher on log.relay_lease to ironledger_publisher
    using (feed = 'public') with check (feed = 'public');
create policy publisher on log.published to ironledger_publisher
    using (feed = 'public') with check (feed = 'public');
