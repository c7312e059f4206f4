-- schema: coaching_v1
-- What each side of a coaching said: the coach asked, the client accepted, either ended it.

create table sides (
    owner uuid not null,
    invitation uuid not null,
    -- Whether it is the coach who says so, or the client.
    is_coach boolean not null,
    -- Who is on the other side.
    other uuid not null,
    -- When the coach asked, or the client accepted; none where the client declined.
    begun_at timestamptz,
    ended_at timestamptz,
    primary key (owner, invitation)
);
