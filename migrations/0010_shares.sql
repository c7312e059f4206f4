-- Who of several processes takes which share of a work: projectors the partitions of a read model,
-- as before, and now API processes the tables of the log that they write.
alter table projector.members set schema log;
alter table log.members rename column projection to work;
-- Where a member takes what is for its share, if it does.
alter table log.members add column address text;
alter table projector.leases set schema log;
alter table log.leases rename column projection to work;
alter table log.leases rename column partition to number;
grant select, insert, update, delete on log.members, log.leases to ironledger_api;
