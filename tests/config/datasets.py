#!/usr/bin/python3
"""Run a test with a PostgreSQL server of its own; without one where PostgreSQL is not installed.

    datasets.py PROGRAM [ARGUMENT]...
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from lab import postgresql

if postgresql.programs() is None:
    print("PostgreSQL is not installed: its kinds of data sets are left out")
    sys.exit(subprocess.run(sys.argv[1:]).returncode)
with postgresql.PostgreSQL() as server:
    os.environ["TEST_PGSQL"] = f"{server.socket} {server.port} {server.user} pass=2Fw=3Ard"
    status = subprocess.run(sys.argv[1:]).returncode
sys.exit(status)
