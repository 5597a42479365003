#!/bin/bash
# One drive with damaged LVM metadata, and "lvm fullreport --reportformat json" prints no JSON:
# "Retrying metadata scan." stands in the middle of it, and the exit status is 0.
#
# Seen with LVM 2.03.16 and 2.03.31. A program that parses the report learns nothing of the other,
# healthy groups. On 2.03.31 log/report_command_log=1 makes the words an entry of the report's "log";
# on 2.03.16 they stay where they are.
. "$(dirname "$0")/lib/guest.sh"
need python3
report='lvm fullreport --reportformat json --configreport vg -o vg_name --configreport pv -o pv_name --configreport lv -o lv_name --configreport pvseg -o pv_name --configreport seg -o lv_name'
parses() { python3 -c 'import json,sys; json.load(open(sys.argv[1]))' "$1" 2> /dev/null && echo yes || echo no; }
look() {
  rm -f "$T/drives"/*.img; drive 0 64M; drive 1 64M
  guest "$1" <<G
vgcreate -q good /dev/ubda
vgcreate -q other /dev/ubdb
dd if=/dev/urandom of=/dev/ubdb bs=512 seek=9 count=2 conv=notrunc status=none
for log in 0 1; do
  $report --config log{report_command_log=\$log} > /lab/json.\$log 2> /tmp/errors
  echo "$1, report_command_log=\$log: status \$?"
done
head -5 /lab/json.0
G
  for log in 0 1; do seen "$1, report_command_log=$log: parses: $(parses "$T/$1/lab/json.$log")"; done
}
suite bookworm user-mode-linux=6.1um4+b13 lvm2=2.03.16-2
suite trixie user-mode-linux=6.12um1+b22 lvm2=2.03.31-2
look bookworm
look trixie
for suite in bookworm trixie; do
  holds "$suite: both reports end with status 0" "^$suite, report_command_log=0: status 0"
  holds "$suite: without a log the report does not parse" "^$suite, report_command_log=0: parses: no"
done
holds "with a log it still does not on LVM 2.03.16" '^bookworm, report_command_log=1: parses: no'
holds "but does on LVM 2.03.31" '^trixie, report_command_log=1: parses: yes'
verdict
