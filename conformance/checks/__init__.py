"""The checks, one package per role and one module per area: the folder listing is the table of contents."""
