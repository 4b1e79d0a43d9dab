"""One static page of HTML for an evaluation or a training run: tables, charts and images, all in one file."""
