"""What bench/compare and bench/demo are made of: servers, load runs, tables. Python's standard library only."""
