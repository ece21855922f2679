#!/usr/bin/python3
"""Run a test with a PostgreSQL server of its own; without one where PostgreSQL is not installed.

    datasets.py PROGRAM [ARGUMENT]...
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from lab import postgres

if postgres.programs() is None:
    print("PostgreSQL is not installed: its kinds of data sets are left out")
    sys.exit(subprocess.run(sys.argv[1:]).returncode)
with postgres.Postgres() as server:
    os.environ["TEST_PGSQL"] = f"{server.top} {server.port} {postgres.USER} p=40ss=2Fw=3Ard=25"
    status = subprocess.run(sys.argv[1:]).returncode
sys.exit(status)
