"""One module a table or figure of the paper: which specs it needs, and what it measures of their Outputs."""
