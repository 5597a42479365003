#!/bin/sh
# The guest's end of `guest.py`: runs commands from the host, one after the other. It finds N.cmd
# in the shared directory and leaves N.out, N.err and N.rc.
touch /.job/up
number=0
while :; do
	if [ -e "/.job/$number.cmd" ]; then
		/bin/sh "/.job/$number.cmd" </dev/null >"/.job/$number.out" 2>"/.job/$number.err"
		echo $? >"/.job/$number.tmp"
		mv "/.job/$number.tmp" "/.job/$number.rc"
		number=$((number + 1))
	else
		sleep 0.05
	fi
done
