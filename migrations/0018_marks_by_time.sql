-- Marks are looked at in the order in which they were made, however many wait.
create index marks_by_time on projector.marks (model, marked_at);
