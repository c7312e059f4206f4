-- Records on the topic of the log that are none of its events, set aside by those who read it.
create table projector.foreign_records (
    topic text not null,
    partition smallint not null,
    kafka_offset bigint not null,
    -- What is wrong with it.
    why text not null,
    -- At most 64 KiB of each.
    key bytea,
    value bytea,
    seen_at timestamptz not null default clock_timestamp()
);
-- Offsets begin anew with a topic.
create unique index foreign_records_place on projector.foreign_records
    (topic, partition, kafka_offset, md5(coalesce(value, '')));
grant select on projector.foreign_records to ironledger_api;
grant select, insert on projector.foreign_records to ironledger_projector;
