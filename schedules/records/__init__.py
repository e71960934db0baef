"""Results of tuning: records as lines of JSON, their files, and the library's own records."""
