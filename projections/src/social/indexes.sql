create index words_word on words (word collate "C", owner);
create index ties_other on ties (other, followed_at desc, owner desc) include (follow, requested)
    where follow is not null;
-- What followers see, newest first: everything that a feed needs to find its page.
create index posts_seen on posts (owner, posted_at desc, kind desc, post desc)
    where posted_at is not null and visibility < 3 and not hidden;
create index comments_of_post on comments (post_owner, post_kind, post, written_at, owner, comment);
create index likes_of_content on likes (author, kind, content, liked_at desc, owner desc);
create index like_counts_of_content on like_counts (author, kind, content) include (likes);
create index reports_open on reports (reported_at, owner, report) where outcome is null;
create index reports_all on reports (reported_at, owner, report);
