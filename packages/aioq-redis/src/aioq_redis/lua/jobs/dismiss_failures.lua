-- dismiss_failures: remove failures from the list, with all that it has of their jobs.
--
-- Needs    clock batches states runs failures
-- KEYS     failure_list
-- ARGV     failure ids
-- Returns  how many were listed
return unlist_failures(failure_keys(1), ARGV)
