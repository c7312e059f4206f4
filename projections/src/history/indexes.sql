create index workouts_newest on workouts (owner, started_at desc, workout desc);
create index workout_sets_exercise on workout_sets (owner, exercise, workout);
