-- A replay goes on with what an earlier one has built only if both are the same program: another one
-- may mean other rows by the same events.
alter table projector.replays add column build text not null default '';
