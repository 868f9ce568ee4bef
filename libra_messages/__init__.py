"""The message contracts, as pure typed values: worker requests, answers and error codes."""
