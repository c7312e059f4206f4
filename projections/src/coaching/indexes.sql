create index sides_other on sides (other, is_coach);
