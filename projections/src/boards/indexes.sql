create index places_everyone on places (board, period, score desc, owner);
create index places_sex on places (board, period, sex, score desc, owner) where sex is not null;
create index places_class on places (board, period, sex, class, score desc, owner)
    where class is not null;
create index past_month on past (board, period, among, month, score desc, owner);
