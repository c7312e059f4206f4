-- A table for eight partitions each. Every table that a batch of appends touches costs its statement
-- a fixed time (locks, indexes, checks), more than the rows themselves: docs/performance.md.

-- Which partitions there are; a table may be there before all of its partitions are.
create table log.partitions (number smallint primary key);
insert into log.partitions
select substring(c.relname from '^events_(\d+)$')::smallint
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'log.events'::regclass;
grant select on log.partitions to ironledger_api, ironledger_projector, ironledger_relay;

-- Nobody but the lanes can insert, they count from 1, and readers prove it: a check by the table
-- would be compiled anew for every batch.
alter table log.events drop constraint events_position_check, drop constraint events_version_check;

create function log.make_table(first smallint) returns void language plpgsql as $$
declare
    leaf text := format('events_%s_to_%s', first, first + 7);
begin
    execute format('create table log.%I (like log.events including defaults)', leaf);
    execute format('create trigger immutable before update or delete or truncate on log.%I
        for each statement execute function log.refuse_change()', leaf);
end $$;

create function log.attach_table(first smallint) returns void language plpgsql as $$
begin
    execute format('alter table log.events attach partition log.events_%s_to_%s for values in (%s)',
        first, first + 7,
        (select string_agg(number::text, ', ') from generate_series(first, first + 7) as number));
end $$;

create or replace function log.add_partition(number smallint) returns void language plpgsql as $$
declare
    first smallint := number / 8 * 8;
begin
    if to_regclass(format('log.events_%s_to_%s', first, first + 7)) is null then
        perform log.make_table(first);
        perform log.attach_table(first);
    end if;
    insert into log.partitions values (number);
end $$;
revoke execute on function log.make_table(smallint), log.attach_table(smallint) from public;

-- What is there moves.
do $$
declare
    number smallint;
    first smallint;
begin
    for first in select distinct p.number / 8 * 8 from log.partitions p order by 1 loop
        perform log.make_table(first);
        for number in select p.number from log.partitions p where p.number / 8 * 8 = first loop
            execute format('insert into log.events_%s_to_%s select * from log.events_%s
                order by position', first, first + 7, number);
            execute format('alter table log.events detach partition log.events_%s', number);
            execute format('drop table log.events_%s', number);
        end loop;
        perform log.attach_table(first);
    end loop;
end $$;
