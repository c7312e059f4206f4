-- schema: social_v1
-- Who has to do with whom, and what they show each other. What an athlete said is a row of theirs,
-- whatever the other one says: what comes of both is worked out where it is read. Text columns
-- hold the JSON of the events, sealed as there; names are in clear, for they are searched.

create table athletes (
    owner uuid primary key,
    username text,
    name text,
    -- Only followers see anything.
    is_private boolean not null,
    -- Who sees the profile sees figures there.
    show_stats boolean not null,
    joined_at timestamptz not null
);

-- What an athlete is found by: the username and each word of the name, in small letters.
create table words (
    owner uuid not null,
    word text not null,
    primary key (owner, word)
);

-- Whom nobody sees, until when; without a time, for good.
create table suspensions (
    owner uuid primary key,
    until timestamptz
);

-- What an athlete said of another one.
create table ties (
    owner uuid not null,
    other uuid not null,
    -- The follow that stands on this side, and whether the other one is to accept it.
    follow uuid,
    requested boolean not null,
    followed_at timestamptz,
    -- The last follow of the other one's that was accepted, and that was ended.
    accepted uuid,
    removed uuid,
    blocked_at timestamptz,
    primary key (owner, other)
);

-- Workouts (1), the records that they broke (2) and texts (3). A workout is here from its start on,
-- and a post while it has a time.
create table posts (
    owner uuid not null,
    kind smallint not null,
    post uuid not null,
    -- Everybody (1), followers (2), nobody else (3).
    visibility smallint not null,
    posted_at timestamptz,
    edited_at timestamptz,
    hidden boolean not null,
    content text not null,
    primary key (owner, kind, post)
);

create table comments (
    owner uuid not null,
    comment uuid not null,
    post_owner uuid not null,
    post_kind smallint not null,
    post uuid not null,
    written_at timestamptz not null,
    edited_at timestamptz,
    hidden boolean not null,
    content text not null,
    primary key (owner, comment)
);

-- Comments of others that somebody does not want under their post.
create table dismissed (
    owner uuid not null,
    author uuid not null,
    comment uuid not null,
    primary key (owner, author, comment)
);

-- Who likes what, kinds as above and comments (4).
create table likes (
    owner uuid not null,
    author uuid not null,
    kind smallint not null,
    content uuid not null,
    liked_at timestamptz not null,
    primary key (owner, author, kind, content)
);

-- How many of a partition's athletes like something.
create table like_counts (
    partition smallint not null,
    author uuid not null,
    kind smallint not null,
    content uuid not null,
    likes bigint not null,
    primary key (partition, author, kind, content)
);

-- What is shown to nobody but whose it is.
create table hidden (
    owner uuid not null,
    kind smallint not null,
    content uuid not null,
    primary key (owner, kind, content)
);

create table reports (
    owner uuid not null,
    report uuid not null,
    about uuid not null,
    kind smallint,
    content uuid,
    reason text not null,
    said text,
    reported_at timestamptz not null,
    outcome text,
    resolved_at timestamptz,
    primary key (owner, report)
);
