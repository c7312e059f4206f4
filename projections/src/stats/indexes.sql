create index workouts_by_time on workouts (owner, started_at);
