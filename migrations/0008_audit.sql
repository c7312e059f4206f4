-- Who read whose audits is told by streams of a kind of their own.
create or replace view log.readable as
select
    partition,
    position,
    recorded_at,
    owner,
    case stream_kind
        when 1 then 'athlete' when 2 then 'exercises' when 3 then 'workout' when 4 then 'audit'
        else stream_kind::text
    end || '-' || stream_id as stream,
    version,
    type,
    type_version,
    metadata::json as metadata,
    payload::json as payload
from log.events;
