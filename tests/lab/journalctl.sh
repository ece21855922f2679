#!/bin/sh
# Stand-in for systemd's journalctl in a box: journalctl -u UNIT [-n LINES] [-p ...]
unit='' lines=+1
while [ $# -gt 0 ]; do
	case $1 in
	-u) unit=${2%.service} && shift 2 ;;
	-n) lines=$2 && shift 2 ;;
	*) echo "journalctl (stand-in): what is $1?" >&2 && exit 64 ;;
	esac
done
tail -n "$lines" "/var/log/journal-of-$unit"
