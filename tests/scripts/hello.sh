# args: {"msg": "hi", "count": 2}
# result: "hi hi"
# shellcheck shell=bash
msg="$1"
count="${2:-1}"
out=""
for _ in $(seq "$count"); do out="$out $msg"; done
echo "log line"
echo "${out# }"
