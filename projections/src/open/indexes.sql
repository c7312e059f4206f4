create index workouts_oldest on workouts (opened_at, owner, workout);
