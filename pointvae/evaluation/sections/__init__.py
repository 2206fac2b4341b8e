"""The sections of the report, a part of an evaluation each, as HTML: for one run, or several side by side."""
