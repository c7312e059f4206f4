-- The names of the new streams: routines, folders of them, and what athletes like.
create or replace view log.readable as
select
    partition,
    position,
    recorded_at,
    owner,
    case stream_kind
        when 1 then 'athlete' when 2 then 'exercises' when 3 then 'workout' when 4 then 'audit'
        when 5 then 'body' when 6 then 'records' when 7 then 'account' when 8 then 'coaching'
        when 9 then 'routine' when 10 then 'folders' when 11 then 'likes'
        else stream_kind::text
    end || '-' || stream_id as stream,
    version,
    type,
    type_version,
    metadata::json as metadata,
    payload::json as payload
from log.events;
