"""Real clients of the server's APIs, each in an environment of its own: does a personal answer reach them?

`clients.toml` lists them with the packages that they need, exactly. A program in `programs/` asks one question, by the
base URL in $BASE, of the user ruth, and prints the answer; it imports nothing of Penchant. `python -m
penchant_lab.clients` makes the environments in Penchant's data folder and runs all of them against a server.
"""
