create index likes_of on likes (liked, routine);
