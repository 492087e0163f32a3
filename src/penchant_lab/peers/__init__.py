"""Peers: other people's programs, each in its own environment and process.

A peer is a folder: `peer.toml` (what it is, and the methods it gives), `requirements.txt` (every package, exactly) and
`worker.py` (reads one JSON object a line on stdin, answers one a line on stdout, and imports nothing of Penchant).
`python -m penchant_lab.peers all` makes the environments, in Penchant's data folder.
"""
