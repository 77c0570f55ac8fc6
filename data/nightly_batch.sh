#!/bin/sh
# A nightly batch in a few lines: reads the table of waiting steps and calls back row by row.
#
#   TOKEN=… data/nightly_batch.sh http://127.0.0.1:8765
#
# It is what an outside system does, in the plainest form: no library, nothing to install but curl.
# Written for this project; the paths are those of the endpoint that `asyncsim serve` starts.
set -eu
base="${1%/}/api/workflow/v1"
list=$(curl -sSf -H "Authorization: Bearer $TOKEN" "$base/serverEvents?limit=${ROWS:-1000}")
numbers=$(echo "$list" | grep -o '"serialNumber":"[^"]*"' | cut -d'"' -f4 || true)
[ -n "$numbers" ] || {
    echo "nothing waits (yet)" >&2
    exit 0
}
for number in $numbers; do
    status=$(curl -sS -o /dev/null -w '%{http_code}' -X POST \
        -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
        -d '{"PostedBy": "nightly batch"}' "$base/serverEvents/$number/finish")
    echo "$number $status"
done
