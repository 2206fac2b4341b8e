"""The sections of the report, one idea a file: each gives the HTML of its part for one run, or for several side by side."""
