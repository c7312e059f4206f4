-- schema: routines_v1
-- Which routines athletes have, and which of others they like; what a routine plans is read from the
-- log. Names as in the events: sealed.

create table athletes (
    owner uuid primary key,
    -- Whether nobody else may see anything of theirs.
    is_private boolean not null
);

-- Those that are there: a routine may name one that is gone, and is in none then.
create table folders (
    owner uuid not null,
    folder uuid not null,
    primary key (owner, folder)
);

create table routines (
    owner uuid not null,
    routine uuid not null,
    created_at timestamptz not null,
    folder uuid,
    -- A bit for each day of the week that it is for; Monday is 1.
    days smallint not null,
    is_public boolean not null,
    -- How many.
    exercises smallint not null,
    name text not null,
    primary key (owner, routine)
);

-- Who likes whose routine: kept by who likes, counted by whose it is.
create table likes (
    owner uuid not null,
    liked uuid not null,
    routine uuid not null,
    liked_at timestamptz not null,
    primary key (owner, liked, routine)
);
