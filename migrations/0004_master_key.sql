-- By which a wrong master key is seen before it does harm: a known text under the right one.
create table log.master_key (
    only_one boolean primary key default true check (only_one),
    verifier bytea not null
);
grant select, insert on log.master_key to ironledger_api;
