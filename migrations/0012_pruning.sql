-- New pages are told of without waiting for a vacuum, or every look for old answers reads them all.
alter index log.kept_answers_kept_at set (autosummarize = on);
